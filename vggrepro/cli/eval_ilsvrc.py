"""eval_ilsvrc: top-1 and top-5 error by the paper's protocols, beside the paper's own numbers."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggrepro.cli.options.digits import JobOptions
from vggrepro.cli.options.evaluation import (
    RunningOptions,
    add_cache_option,
    add_network_options,
    add_protocol_options,
    add_reading_options,
    add_running_options,
    add_score_option,
)
from vggrepro.cli.options.goals import GoalOptions, add_expect_option, add_goal_options, add_sweep_option
from vggrepro.cli.options.images import add_sample_options
from vggrepro.cli.options.predictions import PredictionOptions, add_prediction_options
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.refuse import refuse_together, refuse_without
from vggrepro.cli.options.repeat import add_repeat_option, command_line, repeated
from vggrepro.cli.options.report_files import ReportFiles, add_report_options
from vggrepro.cli.options.truth import TruthOptions, add_truth_options
from vggrepro.cli.options.values import amount
from vggrepro.cli.options.zoo import expecting, measured_as_published
from vggrepro.cli.run import Parser, called, kept_in, run_ranks
from vggrepro.paper.known_models import list_zoo
from vggrepro.paper.rows import list_rows
from vggrepro.system.notes import next_step
from vggrepro.system.ranks import Ranks

if TYPE_CHECKING:
    from vggrepro.data.truth.ground_truth import Truth
    from vggrepro.evaluation.goals import EvaluationPlan
    from vggrepro.evaluation.measuring.pipeline import ImageSet
    from vggrepro.evaluation.reporting.stored_report import StoredReport

_EXAMPLES = (
    "--demo",
    '--table 4 --row "D:256;512" --weights D=VGG_ILSVRC_16_layers.caffemodel \\\n'
    "      --images ILSVRC2012_img_val.tar --labels val.txt --synsets synset_words.txt --html report.html",
    "--protocol dense --scales 256,384 --deploy my.prototxt --weights my.caffemodel \\\n"
    "      --images ILSVRC2012_img_val.tar --labels val.txt --csv errors.csv",
    "--repeat report.json",
    "mpirun -n 4 %(prog)s --device cuda --published D=VGG_ILSVRC_16_layers.caffemodel \\\n"
    "      --images ILSVRC2012_img_val.tar --labels val.txt",
)
_EPILOG = """under mpirun each rank has a device of its own

exit codes: 0 done, 1 an expected error was missed or a repetition differs, 2 it could not be done,
130 or 143 stopped by SIGINT or SIGTERM"""


@dataclass(frozen=True)
class EvaluationOptions:
    """The command line."""

    goals: GoalOptions
    truth: TruthOptions
    running: RunningOptions
    report: ReportFiles
    answers: PredictionOptions
    cache: Path | None
    quiet: bool
    traceback: bool
    repeat: Path | None
    tolerance: float = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 an expected error was missed or a repetition differs, 2 an error."""
    command = tuple(sys.argv[1:] if argv is None else argv)
    options = read(EvaluationOptions, parser().parse_args(command))
    if options.goals.list_rows:
        print(list_rows())
        return 0
    if options.goals.list_zoo:
        print(list_zoo())
        return 0
    return run_ranks(
        lambda ranks: (
            _evaluate(options, command, ranks) if options.repeat is None else _repeat(command, ranks)
        ),
        traceback=options.traceback,
        quiet=options.quiet,
        kept=kept_in(options.cache),
    )


def parser(kind: type[Parser] = Parser) -> Parser:
    """All options of the command, for a parser of this ``kind``."""
    parser = kind(
        command="eval_ilsvrc",
        examples=_EXAMPLES,
        description="Top-1 and top-5 error in percent by the paper's test protocols.",
        epilog=_EPILOG,
    )
    what = parser.add_argument_group("what to evaluate")
    add_goal_options(what)
    add_sweep_option(what)
    add_repeat_option(what)
    protocol = parser.add_argument_group("protocol (section 3.2)")
    scales = "none, needed without --table; with --demo: 72; the mean over several is taken"
    add_protocol_options(protocol, scales, "except for --protocol centre")
    networks = parser.add_argument_group("networks")
    add_network_options(networks)
    add_score_option(networks)
    images = parser.add_argument_group("images and ground truth")
    add_truth_options(images)
    add_sample_options(images)
    add_reading_options(parser)
    add_running_options(parser)
    add_quiet_option(parser)
    _add_results(parser.add_argument_group("results"))
    return parser


def _add_results(group: argparse._ArgumentGroup) -> None:
    add_cache_option(group)
    add_report_options(group)
    add_prediction_options(group)
    add_expect_option(group)
    group.add_argument(
        "--tolerance",
        type=amount,
        default=EvaluationOptions.tolerance,
        metavar="T",
        help="largest difference that --expect allows, in percentage points (default: 0.2)",
    )


def _repeat(command: Sequence[str], ranks: Ranks) -> int:
    """Run again what a report tells, with what the ``command`` gives anew."""
    from vggrepro.evaluation.reporting.stored_report import read_report

    asked = read(EvaluationOptions, parser().parse_args(command))
    assert asked.repeat is not None
    stored = read_report(asked.repeat)
    arguments = repeated(parser, stored, command)
    return _evaluate(read(EvaluationOptions, arguments), command_line(parser(), arguments), ranks, stored)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What is evaluated; ``facts`` names what was read with its hashes, ready for JSON."""

    plan: EvaluationPlan
    truth: Truth
    images: ImageSet
    facts: Mapping[str, Any]


def _open(options: EvaluationOptions, stored: StoredReport | None) -> _Inputs:
    """Open everything that is read. It must be what the ``stored`` report, if there is one, tells."""
    from vggrepro.evaluation.measuring.image_choice import choose_images, source_fingerprint
    from vggrepro.evaluation.measuring.pipeline import ImageSet

    goals, expectation = measured_as_published(options.goals)
    check = stored.check if stored is not None else lambda _: None
    plan, files = expecting(goals.plan(), expectation), _hashed(options)
    check({"net_files": plan.net_facts(), "files": files})
    truth = options.truth.open(embedded=goals.demo)
    shown = {"images": truth.source.name, "images_fingerprint": source_fingerprint(truth.source)}
    check(shown)
    indexes = choose_images(len(truth.source), truth.left_out, goals.sample.limit, goals.sample.seed)
    images = ImageSet(truth.source, indexes, goals.reading.reading, goals.reading.on_bad_image)
    return _Inputs(plan, truth, images, {"files": files, **shown})


def _note_next(files: ReportFiles) -> None:
    """What can be done with the report, or how to have one."""
    if files.json is None:
        next_step("--json report.json keeps the numbers, --html report.html shows the worst images")
    else:
        report = shlex.quote(str(files.json))
        next_step(f"{called('eval-ilsvrc')} --repeat {report} checks every number again")


def _hashed(options: EvaluationOptions) -> dict[str, dict[str, str]]:
    """The files of ground truth, mean and other run that were given, with their SHA-256: ready for JSON."""
    from vggrepro.system.file_digest import file_sha256

    files = options.truth.files(embedded=options.goals.demo)
    mean = options.goals.network.mean
    files |= {"mean": mean if isinstance(mean, Path) else None, "compare": options.answers.compare}
    given = {name: path for name, path in files.items() if path is not None}
    return {name: {"file": str(path), "sha256": file_sha256(path)} for name, path in given.items()}


def _with_job(options: EvaluationOptions) -> EvaluationOptions:
    """The options with what an archive of DIGITS holds."""
    goals, truth = options.goals, options.truth
    given = JobOptions(goals.network, goals.protocol, goals.reading, truth.synsets).with_job()
    goals = replace(goals, network=given.network, protocol=given.protocol, reading=given.reading)
    return replace(options, goals=goals, truth=replace(truth, synsets=given.synsets))


def _evaluate(
    options: EvaluationOptions, command: Sequence[str], ranks: Ranks, stored: StoredReport | None = None
) -> int:
    """Evaluate, and write what was found. ``stored`` is the report that this is a repetition of."""
    from vggrepro.cli.verdict import show, verdict, verdict_of_repetition
    from vggrepro.evaluation.evaluate import evaluate, predict

    options.report.check(options)
    theirs = options.answers.check(options)
    if options.goals.expect is None and options.goals.zoo is None:
        refuse_without("--expect", options, "tolerance")
    options = _with_job(options)
    inputs = _open(options, stored)
    plan, truth, images = inputs.plan, inputs.truth, inputs.images
    options.answers.check_submission(truth, len(images.indexes))
    squashed = images.squashed_notice if not ranks.rank else None
    if squashed is not None:
        warnings.warn(squashed, stacklevel=2)
    running = options.running.running(ranks)
    if not truth.labelled:
        options.answers.check_unlabelled(options.report)
        refuse_together("--no-labels", options.goals, "sweep")
        options.answers.write(predict(plan, truth, images, running, ranks, options.cache), truth)
        return 0
    options.answers.check_images(theirs, truth, images)
    report = evaluate(plan, truth, images, running, ranks, options.cache)
    if report is None:
        return 0
    report = options.answers.compared(report, theirs)
    asked = {
        "command": list(command),
        "directory": str(Path.cwd()),
        "sample": asdict(options.goals.sample),
        "predictions": options.answers.write(report.predictions, truth),
    }
    report = replace(report, settings={**report.settings, **inputs.facts, **asked})
    options.report.write(report, images)
    show(report)
    if stored is not None:
        return verdict_of_repetition(stored, report)
    _note_next(options.report)
    return verdict(report, options.tolerance, paper_counts=options.goals.expect is not None)

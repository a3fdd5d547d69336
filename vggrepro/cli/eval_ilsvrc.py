"""eval_ilsvrc: top-1 and top-5 error by the paper's protocols, beside the paper's own numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vggrepro.cli.options.evaluation import (
    RunningOptions,
    add_network_options,
    add_protocol_options,
    add_reading_options,
    add_running_options,
    add_score_option,
)
from vggrepro.cli.options.goals import GoalOptions, add_expect_option, add_goal_options
from vggrepro.cli.options.images import add_sample_options
from vggrepro.cli.options.predictions import PredictionOptions, add_prediction_options
from vggrepro.cli.options.read import read
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.report_files import ReportFiles, add_report_options
from vggrepro.cli.options.truth import TruthOptions, add_truth_options
from vggrepro.cli.options.values import amount
from vggrepro.cli.run import Parser, run_ranks
from vggrepro.cli.verdict import show, verdict
from vggrepro.evaluation.evaluate import evaluate, predict
from vggrepro.evaluation.measuring.image_choice import choose_images, source_fingerprint
from vggrepro.evaluation.measuring.pipeline import ImageSet
from vggrepro.paper.rows import list_rows
from vggrepro.system.ranks import Ranks

_EPILOG = """examples:
  eval_ilsvrc --demo
  eval_ilsvrc --table 4 --row "D:256;512" --weights D=VGG_ILSVRC_16_layers.caffemodel \\
      --images ILSVRC2012_img_val.tar --labels val.txt --synsets synset_words.txt --html report.html
  eval_ilsvrc --protocol dense --scales 256,384 --deploy my.prototxt --weights my.caffemodel ...
  mpirun -n 4 python tools/eval_ilsvrc.py --device cuda ...    (one rank a device)

Exit codes: 0 done, 1 an expected error was missed, 2 it could not be done,
130 or 143 stopped by SIGINT or SIGTERM."""


@dataclass(frozen=True)
class EvaluationOptions:
    """The command line."""

    goals: GoalOptions
    truth: TruthOptions
    running: RunningOptions
    report: ReportFiles
    answers: PredictionOptions
    cache: Path | None
    traceback: bool
    tolerance: float = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 an expected error was missed, 2 an error."""
    command = tuple(sys.argv[1:] if argv is None else argv)
    options = read(EvaluationOptions, parser().parse_args(command))
    if options.goals.list_rows:
        print(list_rows())
        return 0
    return run_ranks(
        lambda ranks: _evaluate(options, command, ranks),
        traceback=options.traceback,
        kept=_kept(options.cache),
    )


def _kept(cache: Path | None) -> str:
    """What is left of a stopped run."""
    if cache is None:
        return "nothing is kept (--cache DIR keeps what is measured)"
    return f"what was measured is in {cache}: the same command goes on from there"


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        prog="eval_ilsvrc",
        description="Top-1 and top-5 error in percent by the paper's test protocols.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_goal_options(parser.add_argument_group("what to evaluate"))
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
    _add_results(parser.add_argument_group("results"))
    return parser


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep every view's posterior here: a killed run goes on, other averages need no inference",
    )
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


def _evaluate(options: EvaluationOptions, command: Sequence[str], ranks: Ranks) -> int:
    options.report.check(options)
    theirs = options.answers.check(options)
    goals = options.goals
    if goals.expect is None:
        refuse_without("--expect", options, "tolerance")
    plan, truth = goals.plan(), options.truth.open(embedded=goals.demo)
    indexes = choose_images(len(truth.source), truth.left_out, goals.sample.limit, goals.sample.seed)
    options.answers.check_submission(truth, len(indexes))
    images = ImageSet(truth.source, indexes, goals.reading.reading, goals.reading.on_bad_image)
    if not truth.labelled:
        options.answers.check_unlabelled(options.report)
        found = predict(plan, truth, images, options.running.running(ranks), ranks, options.cache)
        options.answers.write(found, truth)
        return 0
    report = evaluate(plan, truth, images, options.running.running(ranks), ranks, options.cache)
    if report is None:
        return 0
    asked = {
        "command": list(command),
        "sample": asdict(goals.sample),
        "files": options.truth.facts(),
        "images_fingerprint": source_fingerprint(truth.source),
    }
    report = replace(report, settings={**report.settings, **asked})
    report = options.answers.compared(report, theirs)
    options.report.write(report, images)
    options.answers.write(report.predictions, truth)
    show(report)
    return verdict(report, options.tolerance, paper_counts=goals.expect is not None)

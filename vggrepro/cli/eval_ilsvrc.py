"""eval_ilsvrc: top-1 and top-5 error by the paper's protocols, beside the paper's own numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vggrepro.cli.options.evaluation import (
    add_network_options,
    add_protocol_options,
    add_reading_options,
    add_running_options,
    add_score_option,
    files_from,
    mean_from,
    reading_from,
    refuse_with_demo,
    running_from,
)
from vggrepro.cli.options.images import add_sample_options, add_tar_option
from vggrepro.cli.run import Parser, check_outputs, run_ranks
from vggrepro.data.truth.ground_truth import Truth, open_truth
from vggrepro.errors import ProtocolError
from vggrepro.evaluation import demo
from vggrepro.evaluation.evaluate import evaluate
from vggrepro.evaluation.goals import CAFFE, PAPER, Goal, Plan, parse_expectation, row_goals
from vggrepro.evaluation.measuring.image_choice import choose
from vggrepro.evaluation.measuring.pipeline import Task
from vggrepro.evaluation.measuring.views import Reading
from vggrepro.evaluation.presets import find_row, for_names, list_rows
from vggrepro.evaluation.protocols import Member
from vggrepro.evaluation.reporting.page import page
from vggrepro.evaluation.reporting.report import Report, to_json, to_markdown
from vggrepro.evaluation.reporting.thumbnails import thumbnails
from vggrepro.paper.tables import Row, table
from vggrepro.system.atomic import replacing, write_json
from vggrepro.system.ranks import Ranks

_FIXED = ("protocol", "scales", "flip")
"""Options that describe a protocol, which the rows of a table fix."""

_EPILOG = """examples:
  eval_ilsvrc --demo
  eval_ilsvrc --table 4 --row "D:256;512" --weights D=VGG_ILSVRC_16_layers.caffemodel \\
      --images ILSVRC2012_img_val.tar --labels val.txt --synsets synset_words.txt --html report.html
  eval_ilsvrc --protocol dense --scales 256,384 --deploy my.prototxt --weights my.caffemodel ...
  mpirun -n 4 python tools/eval_ilsvrc.py --device cuda ...    (one rank a device)

Exit codes: 0 done, 1 an expected error was missed, 2 it could not be done."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 an expected error was missed, 2 an error."""
    arguments = _parser().parse_args(argv)
    if arguments.list_rows:
        print(list_rows())
        return 0
    return run_ranks(lambda ranks: _evaluate(arguments, ranks))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="eval_ilsvrc",
        description="Top-1 and top-5 error in percent by the paper's test protocols.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_goals(parser)
    add_protocol_options(parser, "needed without --table; with --demo: 72")
    add_score_option(add_network_options(parser))
    _add_images(parser)
    add_reading_options(parser)
    add_running_options(parser)
    _add_results(parser)
    return parser


def _add_goals(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to evaluate")
    group.add_argument(
        "--demo", action="store_true", help="the embedded miniature of ILSVRC: images, labels and network"
    )
    group.add_argument(
        "--table", type=int, metavar="N", help="a table of the paper, 3 to 7: every row, or --row"
    )
    group.add_argument(
        "--row",
        action="append",
        default=[],
        metavar="KEY",
        help='a row of the table, as "D:256;512" (see --list-rows); repeatable',
    )
    group.add_argument("--list-rows", action="store_true", help="list the rows of all tables, and stop")


def _add_images(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("images and ground truth")
    group.add_argument(
        "--images", type=Path, metavar="PATH", help="a folder, a tar (read in place) or an LMDB"
    )
    group.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="Caffe's list ('file label'), or the devkit's ground truth; without it an LMDB's labels or"
        " the WNIDs in the paths count",
    )
    group.add_argument(
        "--synsets", type=Path, metavar="FILE", help="the network's class order and names: synset_words.txt"
    )
    group.add_argument(
        "--devkit",
        type=Path,
        metavar="FILE",
        help="the devkit's class order: meta.mat, or a list of WNIDs by ILSVRC2012_ID",
    )
    group.add_argument(
        "--blacklist", type=Path, metavar="FILE", help="the devkit's list of images to leave out"
    )
    add_tar_option(group)
    add_sample_options(group)


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep every view's posterior here: a killed run goes on, other averages need no inference",
    )
    group.add_argument(
        "--json", type=Path, metavar="FILE", help="write everything, settings included, as JSON"
    )
    group.add_argument("--markdown", type=Path, metavar="FILE", help="write what is printed")
    group.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page")
    group.add_argument(
        "--expect",
        metavar="paper|TOP1,TOP5",
        help="exit with 1 unless both errors are as in the paper's row, or as given in percent",
    )
    group.add_argument(
        "--tolerance",
        type=float,
        default=0.2,
        metavar="POINTS",
        help="largest difference that --expect allows, in percentage points (default: 0.2)",
    )


def _evaluate(arguments: argparse.Namespace, ranks: Ranks) -> int:
    check_outputs(arguments.json, arguments.markdown, arguments.html)
    plan = _expecting(_plan(arguments), arguments.expect)
    truth = _truth(arguments)
    indexes = choose(len(truth.source), truth.left_out, arguments.limit, arguments.seed)
    task = Task(truth.source, indexes, reading_from(arguments), arguments.on_bad_image)
    report = evaluate(plan, truth, task, running_from(arguments, ranks), ranks, arguments.cache)
    if report is None:
        return 0
    _write(arguments, report, task)
    return _verdict(arguments, report)


def _plan(arguments: argparse.Namespace) -> Plan:
    """What to find out, and with which networks, from the options."""
    if arguments.demo:
        return _demo_plan(arguments)
    if arguments.table is not None:
        return _table_plan(arguments)
    if arguments.row:
        raise ProtocolError(f"--row {arguments.row[0]}: expected --table N with it")
    files, mean = files_from(arguments, embedded=False)
    return Plan([_described(arguments, [f.name for f in files])], files, mean, arguments.score_blob)


def _table_plan(arguments: argparse.Namespace) -> Plan:
    for flag in _FIXED:
        if getattr(arguments, flag) is not None:
            raise ProtocolError(f"--{flag}: the rows of a table fix it; leave out --table or --{flag}")
    goals = row_goals(_rows(arguments), arguments.average)
    names = list(dict.fromkeys(member.net for goal in goals for member in goal.members))
    files = for_names(names, arguments.weights, arguments.deploy, arguments.prototxt_dir)
    return Plan(goals, files, mean_from(arguments), arguments.score_blob)


def _rows(arguments: argparse.Namespace) -> list[Row]:
    if arguments.row:
        return [find_row(arguments.table, key) for key in arguments.row]
    rows = [row for row in table(arguments.table) if row.tested]
    if not rows:
        raise ProtocolError(f"--table {arguments.table}: the paper's results are in tables 3 to 7")
    return rows


def _demo_plan(arguments: argparse.Namespace) -> Plan:
    """Every protocol that Caffe was asked about, or the one that the options describe."""
    refuse_with_demo(arguments, "table", "row", "images", "labels", "synsets", "devkit", "blacklist")
    files, mean = files_from(arguments, embedded=True)
    # Caffe answered for all images, read in one way and averaged before the softmax.
    whole = arguments.limit is None and reading_from(arguments) == Reading()
    goals = demo.goals(arguments.average, expected=whole)
    if any(getattr(arguments, flag) is not None for flag in _FIXED):
        arguments.scales = arguments.scales or (demo.SCALE,)
        asked = _described(arguments, [demo.NET])
        goals = [goal for goal in goals if goal.members == asked.members] or [asked]
    return Plan(goals, files, mean, arguments.score_blob)


def _described(arguments: argparse.Namespace, names: Sequence[str]) -> Goal:
    """The protocol that the options describe, with all networks fused."""
    if arguments.scales is None:
        raise ProtocolError("no scales: expected --scales Q,... (the smallest side, in pixels)")
    protocol = arguments.protocol or "dense"
    flip = protocol != "centre" if arguments.flip is None else arguments.flip
    members = tuple(Member(name, protocol, arguments.scales, flip, arguments.average) for name in names)
    return Goal(" + ".join(map(str, members)), members)


def _expecting(plan: Plan, expect: str | None) -> Plan:
    """The plan with ``--expect`` in the place of what is expected of it otherwise."""
    if expect is None:
        return plan
    if expect == PAPER:
        if any(goal.row is None for goal in plan.goals):
            raise ProtocolError("--expect paper: expected --table N with it")
        return plan
    expectation = parse_expectation(expect)
    if len(plan.goals) != 1:
        raise ProtocolError(f"--expect {expect}: is for one combination, but {len(plan.goals)} are evaluated")
    return replace(plan, goals=[replace(plan.goals[0], expectation=expectation)])


def _truth(arguments: argparse.Namespace) -> Truth:
    if arguments.demo:
        return demo.truth()
    if arguments.images is None:
        raise ProtocolError("no images: expected --images PATH (or --demo)")
    return open_truth(
        arguments.images,
        arguments.labels,
        arguments.synsets,
        arguments.devkit,
        arguments.blacklist,
        arguments.tar_index,
    )


def _write(arguments: argparse.Namespace, report: Report, task: Task) -> None:
    text = to_markdown(report)
    print(text, end="")
    for notice in report.notices:
        print(f"warning: {notice}", file=sys.stderr)
    if arguments.json is not None:
        write_json(arguments.json, to_json(report))
    if arguments.markdown is not None:
        _save(arguments.markdown, text)
    if arguments.html is not None:
        pictures = thumbnails(task.source, [m.index for m in report.results.worst], task.reading.exif)
        _save(arguments.html, page(report, pictures))


def _save(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def _verdict(arguments: argparse.Namespace, report: Report) -> int:
    """1 if an expectation that counts is missed: --expect, and Caffe's own numbers on the whole demo."""
    code = 0
    for goal, outcome in report.found:
        wanted = goal.expectation
        if wanted is None or (wanted.whose == PAPER and arguments.expect is None):
            continue
        tolerance = 0.0 if wanted.whose == CAFFE else arguments.tolerance
        if not wanted.met(outcome.errors, tolerance):
            print(f"missed: {goal.name}: {wanted.whose} has {wanted.top1} / {wanted.top5}", file=sys.stderr)
            code = 1
    return code

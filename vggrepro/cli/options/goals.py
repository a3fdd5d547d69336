"""What is to be evaluated: ``--demo``, rows of the paper's tables, or a protocol; and what is expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vggrepro.cli.options.evaluation import (
    NetworkOptions,
    ProtocolOptions,
    ReadingOptions,
    add_demo_option,
)
from vggrepro.cli.options.images import Sample
from vggrepro.cli.options.read import Options, given
from vggrepro.cli.options.refuse import refuse_with_demo
from vggrepro.cli.options.values import axes
from vggrepro.errors import OptionError
from vggrepro.paper.rows import find_rows, published_rows
from vggrepro.paper.tables import TableRow

if TYPE_CHECKING:
    from vggrepro.evaluation.goals import EvaluationPlan, Goal

_FIXED = ("protocol", "scales", "flip")
"""Options that describe a protocol, which the rows of a table fix."""


@dataclass(frozen=True)
class GoalOptions:
    """What to evaluate, with which networks, on how many images."""

    protocol: ProtocolOptions
    network: NetworkOptions
    reading: ReadingOptions
    sample: Sample
    demo: bool = False
    table: tuple[int, ...] = ()
    published: tuple[str, ...] = ()
    row: tuple[str, ...] = ()
    list_rows: bool = False
    zoo: str | None = None
    list_zoo: bool = False
    score_blob: str | None = None
    sweep: tuple[str, ...] = ()
    expect: str | None = None

    def plan(self) -> EvaluationPlan:
        """Raises OptionError and ProtocolError for what cannot be evaluated, or does not go together."""
        from vggrepro.evaluation.open_readings import open_readings

        readings = open_readings(self.sweep, self.reading.reading, self.protocol.average)
        return replace(_expecting(self._plan(), self.expect), readings=readings)

    def _plan(self) -> EvaluationPlan:
        from vggrepro.evaluation.goals import EvaluationPlan

        if self.demo:
            return self._demo_plan()
        if self.published:
            return self._published_plan()
        if self.table:
            return self._rows_plan(find_rows(self.table, self.row), self.network)
        if self.row:
            raise OptionError(f"--row {self.row[0]}: expected --table N with it")
        files, mean = self.network.files(embedded=False)
        return EvaluationPlan([self._described([f.name for f in files])], files, mean, self.score_blob)

    def _published_plan(self) -> EvaluationPlan:
        """Every row that the published weights can be run for."""
        for name in ("table", "row"):
            if getattr(self, name):
                raise OptionError(
                    f"--{name}: --published takes every row of its nets; leave out one of the two"
                )
        if self.network.weights:
            raise OptionError("--weights: --published names the weights; leave out one of the two")
        rows = published_rows([option.partition("=")[0] for option in self.published])
        return self._rows_plan(rows, replace(self.network, weights=self.published))

    def _rows_plan(self, rows: Sequence[TableRow], network: NetworkOptions) -> EvaluationPlan:
        from vggrepro.evaluation.goals import EvaluationPlan, row_goals

        for name in given(self.protocol):
            if name in _FIXED:
                raise OptionError(
                    f"--{name}: the rows of a table fix it; leave out --table or --published, or --{name}"
                )
        goals = row_goals(rows, self.protocol.average)
        names = list(dict.fromkeys(member.net for goal in goals for member in goal.members))
        files, mean = network.files_of(names)
        return EvaluationPlan(goals, files, mean, self.score_blob)

    def _demo_plan(self) -> EvaluationPlan:
        """Every protocol that Caffe was asked about, or the one that the options describe."""
        from vggrepro.evaluation import demo
        from vggrepro.evaluation.goals import EvaluationPlan
        from vggrepro.evaluation.measuring.rescaled_image import ImageReading

        refuse_with_demo(self, "table", "published", "row")
        files, mean = self.network.files(embedded=True)
        # Caffe answered for all images, read in one way and averaged before the softmax.
        whole = self.sample.limit is None and self.reading.reading == ImageReading()
        goals = demo.caffe_goals(self.protocol.average, expected=whole)
        if any(name in _FIXED for name in given(self.protocol)):
            asked = self._described([demo.NET], (demo.SCALE,))
            goals = [goal for goal in goals if goal.members == asked.members] or [asked]
        return EvaluationPlan(goals, files, mean, self.score_blob)

    def _described(self, names: Sequence[str], scales: tuple[int, ...] | None = None) -> Goal:
        """The protocol that the options ask for, with all networks fused; ``scales`` if none are given."""
        from vggrepro.evaluation.goals import Goal

        scales = self.protocol.scales or scales
        if scales is None:
            raise OptionError("no scales: expected --scales Q,... (the smallest side, in pixels)")
        members = tuple(self.protocol.member(name, scales) for name in names)
        return Goal(" + ".join(map(str, members)), members)


def add_goal_options(options: Options) -> None:
    """Add ``--demo``, ``--table``, ``--published``, ``--row``, ``--list-rows``, ``--zoo`` and
    ``--list-zoo``."""
    add_demo_option(options, "the embedded miniature of ILSVRC: images, labels and network")
    options.add_argument(
        "--table",
        action="append",
        default=[],
        type=int,
        metavar="N",
        help="a table of the paper, 3 to 7: every row, or --row; repeatable",
    )
    options.add_argument(
        "--published",
        action="extend",
        nargs="+",
        default=[],
        metavar="NET=FILE",
        help="the published weights, D=VGG_ILSVRC_16_layers.caffemodel and E=VGG_ILSVRC_19_layers.caffemodel:"
        " every row of the tables that they can be run for",
    )
    options.add_argument(
        "--row",
        action="append",
        default=[],
        metavar="KEY",
        help='a row of the table, as "D:256;512" (see --list-rows); repeatable',
    )
    options.add_argument("--list-rows", action="store_true", help="list the rows of all tables, and stop")
    options.add_argument(
        "--zoo",
        metavar="NAME",
        help="a published model: views, resizing, mean, scale and channels as it was measured, and the"
        " published errors as what is expected; with --weights FILE and, but for the paper's nets,"
        " --deploy FILE",
    )
    options.add_argument(
        "--list-zoo", action="store_true", help="list the published models for --zoo, and stop"
    )


def add_sweep_option(options: Options) -> None:
    """Add ``--sweep``."""
    from vggrepro.evaluation.open_readings import AXES

    options.add_argument(
        "--sweep",
        type=axes,
        default=(),
        metavar="AXIS,...",
        help="also measure every reading of what the paper leaves open, one question at a time, beside the"
        f" run's own: {', '.join(AXES)}",
    )


def add_expect_option(options: Options) -> None:
    """Add ``--expect``."""
    options.add_argument(
        "--expect",
        metavar="paper|TOP1,TOP5",
        help="exit with 1 unless both errors are as in the paper's row, or as given in percent",
    )


def _expecting(plan: EvaluationPlan, expect: str | None) -> EvaluationPlan:
    """The plan with ``--expect`` in the place of what is expected of it otherwise."""
    from vggrepro.evaluation.goals import PAPER, parse_expectation

    if expect is None:
        return plan
    if expect == PAPER:
        if any(goal.row is None for goal in plan.goals):
            raise OptionError("--expect paper: expected --table N with it")
        return plan
    expectation = parse_expectation(expect)
    if len(plan.goals) != 1:
        raise OptionError(f"--expect {expect}: is for one combination, but {len(plan.goals)} are evaluated")
    return replace(plan, goals=[replace(plan.goals[0], expectation=expectation)])

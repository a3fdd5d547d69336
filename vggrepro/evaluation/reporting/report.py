"""An evaluation as JSON, with every setting, and as Markdown beside the paper's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vggrepro.data.truth.labels import is_wnid
from vggrepro.evaluation.goals import Goal
from vggrepro.evaluation.metrics import TopErrors
from vggrepro.evaluation.paired import PairedComparison
from vggrepro.evaluation.predictions import Predictions
from vggrepro.evaluation.reporting.number_text import published, signed, with_interval
from vggrepro.evaluation.reporting.paired_tables import (
    COMPARISON_HEADS,
    SWEEP_HEADS,
    Lines,
    comparison_rows,
    in_one_line,
    sweep_rows,
)
from vggrepro.evaluation.reporting.stored_report import FORMAT
from vggrepro.evaluation.results import Outcome, Results
from vggrepro.evaluation.sweep import SweptAxis
from vggrepro.paper.replications import Replication, replications_of
from vggrepro.paper.tables import TableRow
from vggrepro.system.terminal import escaped
from vggrepro.text_table import padded


@dataclass(frozen=True)
class Counts:
    """Which images were counted. ``bad`` and ``truncated`` map image names to reasons: bad ones count in no
    error, truncated ones do, decoded as Caffe decodes them."""

    source: str
    listed: int
    blacklisted: int
    selected: int
    bad: Mapping[str, str]
    truncated: Mapping[str, str]
    squashed: str | None = None
    """What to tell of images that were squashed to squares."""


@dataclass(frozen=True, eq=False)
class Report:
    """All that is told of a run. ``results`` and ``goal`` are the combination told in detail, ``found`` all
    that were to be evaluated, it included. ``names`` are the classes' WNIDs and words, by label; ``keys`` the
    images' names by index, for the worst mistakes; ``settings`` is ready for JSON."""

    goal: Goal
    results: Results
    found: Sequence[tuple[Goal, Outcome]]
    counts: Counts
    names: Sequence[str]
    keys: Mapping[int, str]
    settings: Mapping[str, Any]
    seconds: float = 0.0
    notices: Sequence[str] = ()
    predictions: Predictions | None = None
    """The detailed combination's answers for every image, where they are kept."""
    comparison: PairedComparison | None = None
    """This run beside another one, if that was asked for."""
    sweep: Sequence[SweptAxis] = ()
    """Other readings of what the paper leaves open, if they were asked for."""

    @property
    def remarks(self) -> list[str]:
        """What a reader must know, in sentences."""
        compared = [self.comparison.sentence] if self.comparison else []
        return [*self.notices, *compared, *image_notices(self.counts)]

    @property
    def row(self) -> TableRow | None:
        return self.goal.row

    @property
    def tables(self) -> list[int]:
        """The numbers of the paper's tables that rows were measured of."""
        return sorted({goal.row.table for goal, _ in self.found if goal.row is not None})

    @property
    def replications(self) -> list[tuple[Goal, Outcome, Replication]]:
        """What others have published about the same nets, protocols and scales as were evaluated; nobody has
        replicated an ensemble."""
        alone = [(goal, outcome, goal.members[0]) for goal, outcome in self.found if len(goal.members) == 1]
        return [
            (goal, outcome, replication)
            for goal, outcome, member in alone
            for replication in replications_of(member.net, member.protocol, member.scales)
        ]

    @property
    def compared(self) -> list[tuple[str, Outcome]]:
        """Everything measured, once each, in words: what was asked for, then the detailed one's parts."""
        named = [(goal.name, outcome) for goal, outcome in self.found]
        known = {outcome.members for _, outcome in named}
        return named + [(part.combination, part) for part in self.results.parts if part.members not in known]

    def name(self, label: int) -> str:
        """A class in words; its number alone where the names are not known."""
        return self.names[label] if label < len(self.names) else f"class {label}"

    def words(self, label: int) -> tuple[str, str]:
        """A class's words, and its WNID; what is not known is empty."""
        wnid, _, words = self.name(label).partition(" ")
        return (words, wnid) if words and is_wnid(wnid) else (self.name(label), "")


def to_json(report: Report) -> dict[str, Any]:
    """The whole report as JSON data. Errors are in percent."""
    results = report.results
    return {
        "format": FORMAT,
        "name": report.goal.name,
        **outcome_json(results.whole),
        "results": {goal.name: goal_json(goal, outcome) for goal, outcome in report.found},
        "images": {**asdict(report.counts), "evaluated": results.images},
        "paper": asdict(report.row) if report.row else None,
        "replications": [{"result": goal.name, **asdict(r)} for goal, _, r in report.replications],
        "parts": [outcome_json(part) for part in results.parts],
        "classes": [
            {"label": c.label, "name": report.name(c.label), **errors_json(c.errors)} for c in results.classes
        ],
        "confusions": [
            {**asdict(c), "truth_name": report.name(c.truth), "guess_name": report.name(c.guess)}
            for c in results.confusions
        ],
        "worst": [
            {"image": report.keys[m.index], **asdict(m), "truth_name": report.name(m.truth)}
            for m in results.worst
        ],
        "comparison": report.comparison.facts() if report.comparison else None,
        "sweep": {found.axis: found.facts() for found in report.sweep},
        "notices": list(report.notices),
        "settings": dict(report.settings),
        "seconds": round(report.seconds, 3),
    }


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "what": outcome.combination,
        "members": [asdict(member) for member in outcome.members],
        **errors_json(outcome.errors),
    }


def errors_json(errors: TopErrors) -> dict[str, Any]:
    found: dict[str, Any] = {"images_counted": errors.top1.total}
    for name, rate in (("top1", errors.top1), ("top5", errors.top5)):
        found[f"{name}_wrong"] = rate.wrong
        found[f"{name}_error_percent"] = rate.percent
        found[f"{name}_interval_95_percent"] = list(rate.interval)
    return found


def goal_json(goal: Goal, outcome: Outcome) -> dict[str, Any]:
    """A combination's errors with what was expected of them."""
    found = outcome_json(outcome)
    if goal.expectation is not None:
        found["expected"] = {
            "whose": goal.expectation.whose,
            "top1_error_percent": goal.expectation.top1,
            "top5_error_percent": goal.expectation.top5,
            "top1_difference": outcome.errors.top1.less(goal.expectation.top1),
            "top5_difference": outcome.errors.top5.less(goal.expectation.top5),
            "test_top5_error_percent": goal.row.test_top5 if goal.row else None,
        }
    return found


def to_markdown(report: Report) -> str:
    """What was asked for beside what was expected, the replications, and the parts, as aligned tables."""
    lines = [
        f"{report.results.images} images; errors in percent, with 95% confidence intervals",
        "",
        *_aligned(["", "top-1", "top-5", "expected", "difference"], _goal_rows(report)),
    ]
    if report.replications:
        rows = [_replication_row(*found) for found in report.replications]
        heads = ["published replications", "of", "top-1", "top-5", "our difference"]
        lines += ["", *_aligned(heads, rows)]
    parts = report.compared[len(report.found) :]
    if parts:
        rows = [[label, with_interval(o.errors.top1), with_interval(o.errors.top5)] for label, o in parts]
        lines += ["", *_aligned(["parts", "top-1", "top-5"], rows)]
    if report.comparison is not None:
        lines += ["", *_of_lines(COMPARISON_HEADS, comparison_rows(report.comparison))]
    if report.sweep:
        lines += ["", *_of_lines(SWEEP_HEADS, sweep_rows(report.sweep))]
    notices = [*(found.conclusion for found in report.sweep), *report.remarks]
    return "\n".join([*lines, *([""] if notices else []), *(f"- {escaped(text)}" for text in notices)]) + "\n"


def _goal_rows(report: Report) -> list[list[str]]:
    rows = []
    for goal, outcome in report.found:
        top1, top5 = outcome.errors.top1, outcome.errors.top5
        wanted = goal.expectation
        row = [goal.name, with_interval(top1), with_interval(top5), "-", "-"]
        if wanted is not None:
            row[3] = f"{wanted.whose}: {published(wanted.top1)} / {published(wanted.top5)}"
            if goal.row is not None and goal.row.test_top5 is not None:
                row[3] += f" (test: {published(goal.row.test_top5)})"
            row[4] = differences(outcome.errors, wanted.top1, wanted.top5)
        rows.append(row)
    return rows


def _replication_row(goal: Goal, outcome: Outcome, r: Replication) -> list[str]:
    who = f"{r.source}, {r.what}"
    beside = differences(outcome.errors, r.top1, r.top5)
    return [who, goal.name, published(r.top1), published(r.top5), beside]


def _aligned(heads: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table whose columns line up in a terminal too."""
    head, *lines = padded([heads, *([_cell(text) for text in row] for row in rows)])
    return [f"| {' | '.join(line)} |" for line in (head, ["-" * len(cell) for cell in head], *lines)]


def _of_lines(heads: Sequence[str], rows: Sequence[Sequence[Lines]]) -> list[str]:
    return _aligned(list(heads), [[in_one_line(cell) for cell in row] for row in rows])


def _cell(text: str) -> str:
    """A name as a cell: what it holds moves neither the terminal nor the table."""
    return escaped(text).replace("|", "\\|")


def differences(errors: TopErrors, top1: float | None, top5: float | None) -> str:
    """Measured minus published, top-1 and top-5."""
    return f"{signed(errors.top1.less(top1))} / {signed(errors.top5.less(top5))}"


def image_notices(counts: Counts) -> list[str]:
    """What a reader must know about the images, in sentences; nothing where all is as usual."""
    found = []
    if counts.selected != counts.listed - counts.blacklisted:
        found.append(f"a sample: {counts.selected} of {counts.listed - counts.blacklisted} images")
    if counts.squashed is not None:
        found.append(counts.squashed)
    if counts.blacklisted:
        found.append(f"{counts.blacklisted} blacklisted images are left out")
    if counts.bad:
        what = "images that cannot be decoded, and count in no error"
        found.append(f"{what} ({len(counts.bad)}): {_some(counts.bad)}")
    if counts.truncated:
        what = "images that end early, grey where something is missing"
        found.append(f"{what} ({len(counts.truncated)}): {_some(counts.truncated)}")
    return found


def _some(names: Mapping[str, str], most: int = 5) -> str:
    shown = ", ".join(list(names)[:most])
    return shown if len(names) <= most else f"{shown}, ..."

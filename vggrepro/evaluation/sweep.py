"""A sweep over what the paper leaves open: each reading beside the run's own and the expected numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.data.arrays import Ints
from vggrepro.evaluation.goals import Goal
from vggrepro.evaluation.metrics import TopErrors, top_errors
from vggrepro.evaluation.open_readings import OpenReading
from vggrepro.evaluation.paired import PairedErrors, paired_errors
from vggrepro.evaluation.protocols import Member


@dataclass(frozen=True)
class SweptRow:
    """One combination under one reading: its ``errors``, and how they are ``paired`` with those of the run's
    own reading on the same images."""

    goal: Goal
    errors: TopErrors
    paired: PairedErrors

    @property
    def differences(self) -> tuple[float | None, float | None]:
        """Top-1 and top-5 error less the expected ones, in percentage points; None where nothing is
        expected."""
        wanted = self.goal.expectation
        if wanted is None:
            return None, None
        return self.errors.top1.less(wanted.top1), self.errors.top5.less(wanted.top5)

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        top1, top5 = self.differences
        return {
            "top1_error_percent": self.errors.top1.percent,
            "top5_error_percent": self.errors.top5.percent,
            "top1_difference": top1,
            "top5_difference": top5,
            "against_usual": self.paired.facts(),
        }


@dataclass(frozen=True)
class SweptReading:
    """All combinations of a run under one ``reading`` of an open question."""

    reading: OpenReading
    rows: Sequence[SweptRow]

    @property
    def distance(self) -> float | None:
        """How far the errors are from the expected ones, in percentage points: the mean over rows, top-1 and
        top-5; None where nothing is expected."""
        found = [abs(points) for row in self.rows for points in row.differences if points is not None]
        return sum(found) / len(found) if found else None

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        rows = {row.goal.name: row.facts() for row in self.rows}
        return {"usual": self.reading.usual, "mean_distance": self.distance, "rows": rows}


@dataclass(frozen=True)
class SweptAxis:
    """Every reading of one open question, the run's own first."""

    axis: str
    readings: Sequence[SweptReading]

    @property
    def nearest(self) -> list[str]:
        """The values whose errors are nearest to the expected ones: several if they are equally near, none if
        nothing is expected."""
        distances = {r.reading.value: r.distance for r in self.readings if r.distance is not None}
        least = min(distances.values(), default=0.0)
        return [value for value, distance in distances.items() if distance - least <= 1e-9]

    @property
    def conclusion(self) -> str:
        """In a sentence, which reading is nearest, and whether chance would do as much."""
        others = [row for r in self.readings if not r.reading.usual for row in r.rows]
        found = [d for row in others for d in (row.paired.top1, row.paired.top5)]
        if not any(d.only_ours or d.only_theirs for d in found):
            return f"{self.axis}: every reading is right about the same images"
        least = min(d.p_value for d in found)
        chance = f"least p of {len(found)} differences to {self.readings[0].reading.value}: {least:.2g}"
        if not self.nearest:
            return f"{self.axis}: nothing is expected of these rows, so no reading is nearest to it; {chance}"
        whose = {row.goal.expectation.whose for row in self.readings[0].rows if row.goal.expectation}
        told = ", ".join(f"{r.reading.value} {r.distance:.2f}" for r in self.readings)
        return (
            f"{self.axis}: nearest to the expected errors ({', '.join(sorted(whose))}) is"
            f" {' and '.join(self.nearest)} (mean distance in points: {told}); {chance}"
        )

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        readings = {r.reading.value: r.facts() for r in self.readings}
        return {"readings": readings, "nearest": self.nearest, "conclusion": self.conclusion}


def sweep(
    readings: Sequence[OpenReading],
    goals: Sequence[Goal],
    usual: Mapping[str, Ints],
    ranks_of: Callable[[tuple[Member, ...]], Ints],
) -> tuple[SweptAxis, ...]:
    """Compare every one of the ``readings`` with the run's own. ``usual`` has the ranks (n,) of the true
    classes under the run's own reading of each of the ``goals``, by name; ``ranks_of`` gives those of a
    combination that is read otherwise."""
    axes: dict[str, list[SweptReading]] = {}
    for reading in readings:
        rows = []
        for goal in goals:
            members, known = reading.members(goal.members), usual[goal.name]
            ranks = known if members == goal.members else ranks_of(members)
            rows.append(SweptRow(goal, top_errors(ranks), paired_errors(ranks, known)))
        axes.setdefault(reading.axis, []).append(SweptReading(reading, rows))
    return tuple(SweptAxis(axis, found) for axis, found in axes.items())

"""Tables of paired comparisons, with another run and of a sweep, as texts that Markdown and the page share.

A cell is a tuple of lines. A difference is in percentage points; below it are the images that ours alone and
theirs alone is right about, and the p-value of McNemar's exact test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vggrepro.evaluation.paired import Disagreement, PairedComparison, PairedErrors
from vggrepro.evaluation.reporting.number_text import signed
from vggrepro.evaluation.sweep import SweptAxis, SweptRow

Lines = tuple[str, ...]
"""A cell, line by line."""

COMPARISON_HEADS = ("compared", "top-1: here less there (right here, there alone)", "top-5")

SWEEP_HEADS = (
    "reading",
    "top-1 / top-5: errors (less the expected)",
    "top-1: less the run's own reading (right here, there alone)",
    "top-5",
)


def comparison_rows(found: PairedComparison) -> list[list[Lines]]:
    """A row for each combination, for COMPARISON_HEADS."""
    return [
        [
            (row.name,)
            if row.name == row.their_name
            else (row.name, f"with {row.their_name or found.other}"),
            *_paired_cells(row.paired),
        ]
        for row in found.rows
    ]


def sweep_rows(axes: Sequence[SweptAxis]) -> list[list[Lines]]:
    """A row for each reading and combination, for SWEEP_HEADS."""
    return [
        [(_reading_name(axis, place), row.goal.name), *_swept_cells(row)]
        for axis in axes
        for place, found in enumerate(axis.readings)
        for row in found.rows
    ]


def _reading_name(axis: SweptAxis, place: int) -> str:
    reading = axis.readings[place].reading
    return f"{axis.axis} {reading.value}" + (", the run's own" if reading.usual else "")


def _swept_cells(row: SweptRow) -> Iterator[Lines]:
    top1, top5 = row.differences
    errors = f"{row.errors.top1.percent:.2f} / {row.errors.top5.percent:.2f}"
    yield (errors,) if top1 is top5 is None else (errors, f"{signed(top1)} / {signed(top5)}")
    yield from _paired_cells(row.paired)


def _paired_cells(found: PairedErrors) -> tuple[Lines, Lines]:
    def cell(one: Disagreement) -> Lines:
        return f"{found.points(one):+.2f}", f"{one.only_ours}, {one.only_theirs}", f"p = {one.p_value:.2g}"

    return cell(found.top1), cell(found.top5)


def in_one_line(cell: Lines) -> str:
    """The cell as text: its first line, and the others in parentheses."""
    first, *others = cell
    return f"{first} ({'; '.join(others)})" if others else first

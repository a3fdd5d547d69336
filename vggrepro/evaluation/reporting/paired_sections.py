"""The page's sections on another run and on a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.evaluation.paired import PairedComparison
from vggrepro.evaluation.reporting.html_table import html_row, html_table
from vggrepro.evaluation.reporting.html_text import html_text
from vggrepro.evaluation.reporting.paired_tables import (
    COMPARISON_HEADS,
    SWEEP_HEADS,
    Lines,
    comparison_rows,
    sweep_rows,
)
from vggrepro.evaluation.sweep import SweptAxis

_TOLD = (
    "Differences are in percentage points, ours less the other; below each, how many images ours alone and"
    " the other alone is right about, and McNemar's exact p."
)
_SWEPT = "Below the errors is what they are less the expected ones; the other is the run's own reading."


def compared_section(found: PairedComparison | None) -> str:
    """This run beside another one; nothing if none was given."""
    if found is None:
        return ""
    about = f"The same {found.images} images in {found.other}. {_TOLD}"
    return _section("Compared with another run", [about], COMPARISON_HEADS, comparison_rows(found))


def sweep_section(axes: Sequence[SweptAxis]) -> str:
    """Every reading of the questions that were asked about; nothing without a sweep."""
    if not axes:
        return ""
    told = [f"{_TOLD} {_SWEPT}", *(axis.conclusion for axis in axes)]
    return _section("What the paper leaves open", told, SWEEP_HEADS, sweep_rows(axes))


def _section(title: str, about: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[Lines]]) -> str:
    paragraphs = "".join(f'<p class="faint">{html_text(text)}</p>' for text in about)
    body = [html_row([_cell(cell) for cell in row], len(row) - 1) for row in rows]
    marked = [heads[0], *(f"#{head.partition(':')[0]}" for head in heads[1:])]
    return f"<h2>{title}</h2>{paragraphs}{html_table(marked, body)}"


def _cell(cell: Lines) -> str:
    first, *others = map(html_text, cell)
    return "<br>".join([first, *(f'<span class="faint">{text}</span>' for text in others)])

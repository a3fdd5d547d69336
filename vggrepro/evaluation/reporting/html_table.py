"""Tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vggrepro.evaluation.reporting.html_text import html_text


def html_table(heads: Sequence[str], rows: Iterable[str]) -> str:
    """``heads`` that begin with # are columns of numbers."""
    cells = "".join(_head(head) for head in heads)
    body = "".join(rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(head: str) -> str:
    return (
        f'<th class="number">{html_text(head[1:])}</th>'
        if head.startswith("#")
        else f"<th>{html_text(head)}</th>"
    )


def html_row(cells: Sequence[str], numbers: int, ours: bool = False) -> str:
    """Cells that are escaped already; the last ``numbers`` of them are numbers."""
    first = len(cells) - numbers
    body = "".join(
        f"<td>{c}</td>" if i < first else f'<td class="number">{c}</td>' for i, c in enumerate(cells)
    )
    return f'<tr class="ours">{body}</tr>' if ours else f"<tr>{body}</tr>"

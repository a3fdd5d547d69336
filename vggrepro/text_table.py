"""Tables of plain text: cells brought to the width of their columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def padded(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[list[str]]:
    """The same cells, filled with spaces to the widest of their column.

    Every row has the same number of cells. The columns whose numbers, from 0, are in ``right`` are flush
    right, the others flush left.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """A line for each row: padded cells with two spaces between them, and no spaces at the end."""
    return ["  ".join(cells).rstrip() for cells in padded(rows, right=right)]

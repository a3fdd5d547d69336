"""Labels and other indices that layers read from a bottom: which values are allowed, and the check of it.

Caffe checks them in debug builds alone, or nowhere, and then reads foreign memory. Here they are checked on
the host, before a graph runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import LabelError


@dataclass(frozen=True)
class AllowedLabels:
    """Which bottom of a layer holds labels, and which are allowed. As in Caffe, a value is truncated to a
    whole number."""

    bottom: int
    classes: int | None
    """Labels run from 0 to ``classes - 1``; None allows every number."""
    ignored: int | None = None
    """A label that does not count (``ignore_label``)."""
    read: int | None = None
    """How many values the layer reads, from the first on; None: all."""
    column: tuple[int, int] | None = None
    """Where the last axis is a row of several numbers: its size, and which of them is the label."""


def require_allowed(labels: AllowedLabels, values: npt.NDArray[Any], place: str, blob: str) -> None:
    """Raise LabelError for the first value that is not allowed. ``place`` and ``blob`` name the layer and the
    bottom in its message."""
    if labels.column is not None:
        width, column = labels.column
        values = np.asarray(values).reshape(-1, width)[:, column]
    flat = np.asarray(values, np.float64).reshape(-1)[: labels.read]
    whole = np.trunc(flat)
    right = np.isfinite(flat)
    if labels.classes is not None:
        right &= (whole >= 0) & (whole < labels.classes)
        if labels.ignored is not None:
            right |= whole == labels.ignored
    if right.all():
        return
    first = int(np.argmin(right))
    where = [int(index) for index in np.unravel_index(first, values.shape or (1,))]
    inner = f", at {tuple(where[1:])}" if np.prod(values.shape[1:], dtype=np.int64) > 1 else ""
    raise LabelError(
        f"{place}: label {flat[first]:g} in row {where[0]}{inner} of blob {blob!r}:"
        f" expected {_allowed(labels)}",
        row=where[0],
    )


def _allowed(labels: AllowedLabels) -> str:
    if labels.classes is None:
        return "a number"
    ignored = "" if labels.ignored is None else f", or {labels.ignored}, which is ignored"
    return f"0 to {labels.classes - 1}{ignored}"

"""Sequences of labels among blanks, as CTC has them: the blanks left out, as nodes and in NumPy.

Source: yalecyu/crnn.caffe and others; "Connectionist Temporal Classification: Labelling Unsegmented Sequence
Data with Recurrent Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder


class Compacted(NamedTuple):
    """Rows of which some values were left out: tensors of the graph."""

    values: str
    """(N, width), float32: those that stay, in order, then the filling."""
    number: str
    """How many stay, float32 (N, 1)."""


def emit_compacted(g: GraphBuilder, values: str, stays: str, width: int, filling: int) -> Compacted:
    """Of float32 (N, L) the values whose flag in ``stays`` is true, moved to the front of ``width`` >= L
    places."""
    marks = g.op("Cast", stays, to=FLOAT)
    place = g.op("Sub", g.op("Cast", g.op("CumSum", marks, g.ints(1)), to=INT64), g.ints(1))
    where = g.op("Where", stays, place, g.ints(width))
    rows = g.op("Shape", values, end=1)
    empty = g.op("Expand", g.const(filling), g.op("Concat", rows, g.ints([width + 1]), axis=0))
    moved = g.op("ScatterElements", empty, where, values, axis=1)
    compacted = g.op("Slice", moved, g.ints([0]), g.ints([width]), g.ints([1]))
    return Compacted(compacted, g.op("ReduceSum", marks, g.ints([1])))


def decoded(best: Sequence[int], blank: int) -> list[int]:
    """What the best label of each step says: those that differ from the step before, without blanks."""
    return [
        label for label, before in zip(best, [blank, *best[:-1]], strict=True) if label not in (before, blank)
    ]


def without_blanks(labels: Sequence[float], blank: int) -> list[int]:
    return [int(label) for label in np.trunc(labels) if label != blank]

"""The right boxes of YOLO nets, in the two forms that forks have: as nodes and in NumPy.

(N, 5 K): K rows of class, x, y, width and height in units of the image, which end with an x or a width of 0;
YOLO v2's have 30 rows, those of MobileNet-YOLO's v3 have 300.
(1, 1, G, 8): AnnotatedData's rows (:mod:`vggrepro.layers.rules.right_boxes`), whose classes begin with 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, Dims, GraphBuilder, Value
from vggrepro.layers.base import Array
from vggrepro.layers.rules.right_boxes import ROW, emit_truth, reference_truth

ROWS = 30
"""Of the labels of YOLO v2."""


class YoloTruth(NamedTuple):
    """Tensors of the graph: K boxes of each image."""

    label: str
    """(N, K), int64, from 0 on."""
    centre: str
    """(N, K, 2), in units of the image."""
    side: str
    seen: str
    """Whether predictions are compared with it, bool (N, K)."""
    taught: str
    """Whether a prediction is to become it, bool (N, K)."""


def is_annotated(labels: Dims) -> bool:
    """Whether labels of this shape are AnnotatedData's."""
    return len(labels) == 4 and labels[3] == ROW


def emit_yolo_truth(g: GraphBuilder, images: Value, labels: Value) -> YoloTruth:
    """``images``: a tensor (N, ...)."""
    if is_annotated(labels.dims):
        tables = emit_truth(g, labels.name, g.op("Shape", images.name, end=1), True)
        first, second = g.ops("Split", tables.boxes, outputs=2, axis=2, num_outputs=2)
        centre = g.op("Mul", g.op("Add", first, second), g.const(0.5))
        label, side = g.op("Sub", tables.labels, g.ints(1)), g.op("Sub", second, first)
        return YoloTruth(label, centre, side, tables.real, g.op("And", tables.real, _within(g, centre)))
    return emit_rows(g, g.op("Reshape", labels.name, g.ints([0, ROWS, 5])))


def emit_rows(g: GraphBuilder, rows: str) -> YoloTruth:
    """``rows``: a tensor (N, K, 5)."""
    label, centre, side = g.ops("Split", rows, g.ints([1, 2, 2]), outputs=3, axis=2)
    label = g.op("Cast", g.op("Squeeze", label, g.ints([2])), to=INT64)
    taught = g.op("And", _until_zero(g, side), _within(g, centre))
    return YoloTruth(label, centre, side, _until_zero(g, centre), taught)


def emit_used_rows(g: GraphBuilder, rows: str) -> str:
    """The rows (N, K, 5) without those at the end that no image uses; at least one stays."""
    _, centre, side = g.ops("Split", rows, g.ints([1, 2, 2]), outputs=3, axis=2)
    used = g.op("Or", _until_zero(g, centre), _until_zero(g, side))
    numbers = g.op("ReduceSum", g.op("Cast", used, to=FLOAT), g.ints([1]))  # (N, 1)
    most = g.op("Max", g.op("ReduceMax", numbers, g.ints([0]), keepdims=0), g.const([1]))
    return g.op("Slice", rows, g.ints([0]), g.op("Cast", most, to=INT64), g.ints([1]))


def _within(g: GraphBuilder, centre: str) -> str:
    """Whether both of (N, K, 2) lie in the image: bool (N, K)."""
    inside = g.op("And", g.op("GreaterOrEqual", centre, g.const(0)), g.op("Less", centre, g.const(1)))
    both = g.op("ReduceMin", g.op("Cast", inside, to=FLOAT), g.ints([2]), keepdims=0)
    return g.op("Greater", both, g.const(0.5))


def _until_zero(g: GraphBuilder, pairs: str) -> str:
    """Which of (N, K, 2) come before the first whose first number is 0: bool (N, K)."""
    zero = g.op("Cast", g.op("Equal", g.op("Gather", pairs, g.ints(0), axis=2), g.const(0)), to=FLOAT)
    return g.op("Equal", g.op("CumSum", zero, g.ints(1)), g.const(0))


def yolo_truth(labels: Array, images: int) -> list[Array]:
    """For each image class, x, y, width and height of its boxes, (K, 5); of (N, 150) all 30 rows."""
    if not is_annotated(labels.shape):
        return list(labels.reshape(images, ROWS, 5))
    rows = [np.zeros((0, 5))] * images
    for image, own in reference_truth(labels).items():
        first, second = own.boxes[:, :2], own.boxes[:, 2:]
        rows[image] = np.column_stack([own.labels - 1, (first + second) / 2, second - first])
    return rows

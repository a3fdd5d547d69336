"""The boxes that YOLO nets from v2 on predict relative to anchors: as nodes and in NumPy.

Predictions (N, B * (5 + C), H, W) have for each of B anchors x, y, width, height, confidence and C classes.
The A = H * W * B boxes are in the order of rows, columns and anchors.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_code import Pairs, emit_overlap
from vggrepro.layers.rules.yolo_truth import YoloTruth


class AnchorBoxes(NamedTuple):
    """What a net predicts of its A boxes: tensors of the graph."""

    inner: str
    """Place in the cell, (N, A, 2)."""
    stretch: str
    """Logarithms of the sides over the anchor's, (N, A, 2)."""
    sure: str
    """(N, A, 1)."""
    scores: str
    """Of classes, (N, A, C)."""


class AnchorGrid(NamedTuple):
    """Where the boxes are."""

    sizes: Array
    """Columns and rows, (2)."""
    corner: Array
    """Column and row of each box, (A, 2)."""
    anchors: Array
    """Width and height of each box's anchor in cells, (A, 2)."""

    @classmethod
    def of(cls, sizes: Dims, anchors: Array) -> AnchorGrid:
        """``sizes``: H and W; ``anchors``: (B, 2)."""
        height, width = Value("predictions", sizes).shape
        row, column, anchor = np.indices((height, width, len(anchors))).reshape(3, -1)
        corner = np.stack([column, row], axis=1).astype(float)
        return cls(np.array([width, height]), corner, anchors[anchor])


def emit_boxes(g: GraphBuilder, x: Value, numbers: int, classes: int) -> AnchorBoxes:
    """What predictions say of ``numbers`` anchors and so many classes."""
    cells = prod(Value(x.name, x.dims[2:]).shape)
    table = g.op("Reshape", x.name, g.ints([0, numbers, 5 + classes, cells]))
    table = g.op("Transpose", table, perm=[0, 3, 1, 2])
    table = g.op("Reshape", table, g.ints([0, numbers * cells, 5 + classes]))
    inner, stretch, sure, scores = g.ops("Split", table, g.ints([2, 2, 1, classes]), outputs=4, axis=2)
    return AnchorBoxes(g.op("Sigmoid", inner), stretch, g.op("Sigmoid", sure), scores)


def emit_as_predictions(g: GraphBuilder, table: str, x: Value, numbers: int) -> str:
    """A table (N, A, 5 + C) in the order of the predictions."""
    _, channels, height, width = Value(x.name, (1, *x.dims[1:])).shape
    parts = g.op("Reshape", table, g.ints([0, height * width, numbers, channels // numbers]))
    parts = g.op("Transpose", parts, perm=[0, 2, 3, 1])
    return g.op("Reshape", parts, g.ints([0, channels, height, width]))


def emit_corners(g: GraphBuilder, x: AnchorBoxes, grid: AnchorGrid) -> Pairs:
    """The corners of the predicted boxes in units of the image, (N, A, 2) each."""
    centre = g.op("Mul", g.op("Add", x.inner, g.const(grid.corner)), g.const(1 / grid.sizes))
    half = g.op("Mul", g.op("Exp", x.stretch), g.const(grid.anchors / grid.sizes / 2))
    return Pairs(g.op("Sub", centre, half), g.op("Add", centre, half))


def emit_right_corners(g: GraphBuilder, truth: YoloTruth) -> Pairs:
    """Those of the right boxes, (N, K, 2) each."""
    half = g.op("Mul", truth.side, g.const(0.5))
    return Pairs(g.op("Sub", truth.centre, half), g.op("Add", truth.centre, half))


def emit_near(g: GraphBuilder, boxes: Pairs, truth: YoloTruth, threshold: float) -> str:
    """Whether boxes overlap a right one by more than a threshold: bool (N, A, 1)."""
    predicted, right = (
        Pairs(*(g.op("Unsqueeze", corner, g.ints([axis])) for corner in pairs))
        for pairs, axis in ((boxes, 1), (emit_right_corners(g, truth), 2))
    )
    overlaps = emit_overlap(g, predicted, right)  # (N, K, A)
    seen = g.op("Where", g.op("Unsqueeze", truth.seen, g.ints([2])), overlaps, g.const(0))
    best = g.op("Unsqueeze", g.op("ReduceMax", seen, g.ints([1]), keepdims=0), g.ints([2]))
    return g.op("Greater", best, g.const(threshold))


def as_table(x: Array, numbers: int) -> Array:
    """Predictions as (N, A, 5 + C)."""
    images, channels = x.shape[:2]
    size = channels // numbers
    table: Array = x.reshape(images, numbers, size, -1).transpose(0, 3, 1, 2).reshape(images, -1, size)
    return table

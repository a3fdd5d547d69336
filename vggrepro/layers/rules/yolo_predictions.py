"""The boxes that YOLO nets predict, and the right ones: as nodes and in NumPy.

The first YOLO has, for all cells in turn, classes, confidences of B boxes, and their x, y, width and height;
the second, channel by channel, for each of B anchors x, y, width, height, confidence and classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import INT64, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array
from vggrepro.layers.rules.yolo_truth import ROWS, emit_yolo_truth


class YoloBoxes(NamedTuple):
    """Tensors of the graph: K boxes of each image, centres and sides in units of the image."""

    label: str
    """(N, K), int64."""
    centre: str
    """(N, K, 2)."""
    side: str


class YoloRight(NamedTuple):
    boxes: YoloBoxes
    real: str
    """Whether there is such a box, bool (N, K)."""
    counts: str
    """Whether it is one that counts, bool (N, K): not difficult."""


@dataclass(frozen=True)
class YoloPredictions:
    """How a net's P boxes are read."""

    side: int
    """Cells in a row, and in a column."""
    classes: int
    boxes: int
    """B, of each cell."""
    score: str
    """What is a box's score: its confidence (OBJ), the probability of its surest class (PROB), or their
    product (MULTIPLY)."""
    roots: bool = True
    """Of the first YOLO, whether sides are square roots."""
    in_cell: bool = True
    """Of the first YOLO, whether centres are relative to their cell."""
    anchors: tuple[tuple[float, float], ...] = ()
    """Of the second YOLO, widths and heights in cells; none for the first."""

    @property
    def number(self) -> int:
        """How many boxes the net predicts for an image, P."""
        return self.side**2 * self.boxes

    def check(self, x: Shape, y: Shape) -> None:
        """Raises ShapeError for predictions and right boxes of other shapes."""
        cells = self.side**2
        each = self.boxes * (5 + self.classes) if self.anchors else self.classes + 5 * self.boxes
        right = 5 * ROWS if self.anchors else 7 * cells
        if prod(x[1:]) != cells * each or (self.anchors and x[1:] != (each, self.side, self.side)):
            raise ShapeError(f"bottom[0] must hold {each} numbers for each of {cells} cells, got shape {x}")
        if y[:1] != x[:1] or prod(y[1:]) != right:
            raise ShapeError(f"bottom[1] must be ({x[0]}, {right}), got shape {y}")

    def emit(self, g: GraphBuilder, x: Value) -> tuple[YoloBoxes, str]:
        """The boxes, and their scores (N, P)."""
        return self._regions(g, x) if self.anchors else self._cells(g, x)

    def emit_right(self, g: GraphBuilder, x: Value, y: Value) -> YoloRight:
        """The right boxes, of as many images as ``x``."""
        if not self.anchors:
            return self._cell_right(g, y)
        truth = emit_yolo_truth(g, x, y)
        return YoloRight(YoloBoxes(truth.label, truth.centre, truth.side), truth.seen, truth.seen)

    def reference(self, x: Array) -> tuple[Array, Array, Array]:
        """Of one image labels (P), scores (P) and corners (P, 4)."""
        return self._reference_regions(x) if self.anchors else self._reference_cells(x)

    def _grid(self) -> tuple[Array, npt.NDArray[np.int64]]:
        """Column and row of each box, (P, 2), and which box of its cell it is, (P)."""
        row, column, box = np.indices((self.side, self.side, self.boxes)).reshape(3, -1)
        return np.stack([column, row], axis=1).astype(float), box.astype(np.int64)

    def _scores(self, g: GraphBuilder, sure: str, best: str) -> str:
        """Of confidences and probabilities of the surest class, which broadcast."""
        if self.score == "OBJ":
            return sure
        return (
            g.op("Mul", sure, best) if self.score == "MULTIPLY" else g.op("Expand", best, g.op("Shape", sure))
        )

    def _cells(self, g: GraphBuilder, x: Value) -> tuple[YoloBoxes, str]:
        """The first YOLO's predictions, and their scores (N, P)."""
        cells, boxes = self.side**2, self.boxes
        table = g.op("Reshape", x.name, g.ints([0, -1, cells]))
        classes, sure, coded = g.ops(
            "Split", table, g.ints([self.classes, boxes, 4 * boxes]), outputs=3, axis=1
        )
        shape, flat = g.op("Shape", sure), g.ints([0, -1])
        label = g.op("Expand", g.op("ArgMax", classes, axis=1), shape)
        score = self._scores(g, sure, g.op("ReduceMax", classes, g.ints([1])))
        label, score = (
            g.op("Reshape", g.op("Transpose", part, perm=[0, 2, 1]), flat) for part in (label, score)
        )
        coded = g.op("Reshape", coded, g.ints([0, boxes, 4, cells]))
        coded = g.op("Reshape", g.op("Transpose", coded, perm=[0, 3, 1, 2]), g.ints([0, -1, 4]))
        centre, side = g.ops("Split", coded, outputs=2, axis=2, num_outputs=2)
        if self.in_cell:
            centre = g.op("Mul", g.op("Add", centre, g.const(self._grid()[0])), g.const(1 / self.side))
        return YoloBoxes(label, centre, g.op("Mul", side, side) if self.roots else side), score

    def _cell_right(self, g: GraphBuilder, y: Value) -> YoloRight:
        cells = self.side**2
        rows = g.op("Reshape", y.name, g.ints([0, 7 * cells]))
        difficult, real, label, box = g.ops(
            "Split", rows, g.ints([cells] * 3 + [4 * cells]), outputs=4, axis=1
        )
        real = g.op("Not", g.op("Equal", real, g.const(0)))
        counts = g.op("And", real, g.op("Not", g.op("Equal", difficult, g.const(1))))
        centre, side = g.ops(
            "Split", g.op("Reshape", box, g.ints([0, cells, 4])), outputs=2, axis=2, num_outputs=2
        )
        return YoloRight(YoloBoxes(g.op("Cast", label, to=INT64), centre, side), real, counts)

    def _regions(self, g: GraphBuilder, x: Value) -> tuple[YoloBoxes, str]:
        """The second YOLO's predictions, and their scores (N, P)."""
        corner, box = self._grid()
        table = g.op("Transpose", x.name, perm=[0, 2, 3, 1])
        table = g.op("Reshape", table, g.ints([0, self.number, 5 + self.classes]))
        inner, stretch, sure, classes = g.ops(
            "Split", table, g.ints([2, 2, 1, self.classes]), outputs=4, axis=2
        )
        shares = g.op("Softmax", classes, axis=2)
        label = g.op("ArgMax", shares, axis=2, keepdims=0)
        score = self._scores(g, g.op("Sigmoid", sure), g.op("ReduceMax", shares, g.ints([2])))
        centre = g.op("Mul", g.op("Add", g.op("Sigmoid", inner), g.const(corner)), g.const(1 / self.side))
        side = g.op("Mul", g.op("Exp", stretch), g.const(np.array(self.anchors)[box] / self.side))
        return YoloBoxes(label, centre, side), g.op("Squeeze", score, g.ints([2]))

    def _reference_scores(self, sure: Array, best: Array) -> Array:
        scores: Array = {"OBJ": sure, "PROB": best, "MULTIPLY": sure * best}[self.score]
        return scores

    def _reference_cells(self, x: Array) -> tuple[Array, Array, Array]:
        table = x.reshape(-1, self.side**2)
        classes, sure = table[: self.classes], table[self.classes : self.classes + self.boxes].T.reshape(-1)
        coded = (
            table[self.classes + self.boxes :].reshape(self.boxes, 4, -1).transpose(2, 0, 1).reshape(-1, 4)
        )
        label, best = (np.repeat(part, self.boxes) for part in (classes.argmax(0), classes.max(0)))
        centre = (coded[:, :2] + self._grid()[0]) / self.side if self.in_cell else coded[:, :2]
        side = coded[:, 2:] ** 2 if self.roots else coded[:, 2:]
        corners = corners_of(np.concatenate([centre, side], axis=1))
        return label, self._reference_scores(sure, best), corners

    def _reference_regions(self, x: Array) -> tuple[Array, Array, Array]:
        corner, box = self._grid()
        table = x.transpose(1, 2, 0).reshape(self.number, -1)
        shares = np.exp(table[:, 5:] - table[:, 5:].max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        centre = (1 / (1 + np.exp(-table[:, :2])) + corner) / self.side
        side = np.exp(table[:, 2:4]) * np.array(self.anchors)[box] / self.side
        score = self._reference_scores(1 / (1 + np.exp(-table[:, 4])), shares.max(1))
        return shares.argmax(1), score, corners_of(np.concatenate([centre, side], axis=1))

    def reference_right(self, y: Array) -> Array:
        """Label, centre, sides and whether it counts, of one image's right boxes, (K, 6)."""
        if self.anchors:
            rows = y.reshape(ROWS, 5)
            rows = rows[np.cumsum(rows[:, 1] == 0) == 0]
            return np.column_stack([np.trunc(rows[:, 0]), rows[:, 1:], np.ones(len(rows))])
        cells = self.side**2
        flags = y[: 3 * cells].reshape(3, cells)
        rows = np.column_stack([np.trunc(flags[2]), y[3 * cells :].reshape(cells, 4), flags[0] != 1])
        real: Array = rows[flags[1] != 0]
        return real


def corners_of(boxes: Array) -> Array:
    """Corners of boxes (K, 4) of centre and sides."""
    half = boxes[:, 2:] / 2
    corners: Array = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return corners

"""DetectionLoss: how far the boxes of a YOLO net are from the right ones (a layer of YOLO forks; not from
BVLC Caffe).

Sources: choasup/caffe-yolo9000 and its kin, field ``detection_loss_param``; "You Only Look Once: Unified,
Real-Time Object Detection". MS-CNN's layer of this name, whose fields tell it apart, is
:mod:`vggrepro.layers.mscnn_detection_loss`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Reach, Referenced, Shapes, register
from vggrepro.layers.mscnn_detection_loss import MSCNNDetectionLoss
from vggrepro.layers.rules.loss import LossLayer, count, shaped_like

OWN_FIELDS = 1000
"""Fields of ``detection_loss_param`` with higher numbers are MS-CNN's."""

FARTHEST = 20.0
"""Boxes that overlap nothing and are farther away than that are not chosen."""


class _Prediction(NamedTuple):
    """Tensors of the graph: by box (B) and cell (L) what is predicted, and what should be."""

    classes: str
    """(N, C, L)."""
    sure: str
    """(N, B, L)."""
    coded: str
    """(N, B, 4, L)."""
    label: str
    """1 for the right class, (N, C, L)."""
    box: str
    """(N, 1, 4, L): centre, width and height in units of the image."""
    real: str
    """1 where the cell has an object, (N, 1, L)."""


class _Saved(NamedTuple):
    bottoms: tuple[Value, Value]
    slopes: tuple[str, str, str]
    """Of classes, confidences and places, before the loss weight and the number of images."""


@register
@dataclass(frozen=True)
class DetectionLoss(LossLayer[_Saved]):
    """Bottoms: for S x S cells C classes, the confidences of B boxes, and their x, y, width and height, each
    for all cells, (N, S^2 * (C + 5 B)); and for all cells whether an object is difficult, whether there is
    one, its label, then its box, cell by cell, (N, S^2 * 7). Top: the loss ().

    In each cell with an object the box counts that overlaps it most, or if none does the nearest. Squares of
    what its confidence lacks of 1, of all classes and of its place, each with its scale, are divided by the
    number of objects; those of all other confidences by their number. With ``constriant`` x and y are
    relative to the cell, with ``sqrt`` sides are square roots.

    The gradient is the forks', not the loss's derivative: that of half the squares, divided by N but by no
    number of objects, and a box's confidence should be its overlap. DEVIATION: without an object the loss
    counts the confidences alone, where the forks divide by 0.
    """

    type = "DetectionLoss"
    origin = "YOLO forks; MS-CNN"

    side: int = 7
    classes: int = 20
    boxes: int = 2
    scales: tuple[float, float, float, float] = (1.0, 0.5, 1.0, 5.0)
    """Of confidences with an object and without, of classes, of places."""
    roots: bool = True
    in_cell: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LossLayer[Any]:
        p = param.detection_loss_param
        names = [field.name for field, _ in p.ListFields()]
        other = [name for name in names if p.DESCRIPTOR.fields_by_name[name].number > OWN_FIELDS]
        if other and len(other) < len(names):
            raise NetError("detection_loss_param: has fields of MS-CNN's layer and of YOLO's")
        if other:
            return MSCNNDetectionLoss.from_param(param, phase)
        if min(p.side, p.num_class, p.num_object) < 1:
            raise NetError("detection_loss_param: side, num_class and num_object must be positive")
        scales = (p.object_scale, p.noobject_scale, p.class_scale, p.coord_scale)
        return cls(p.side, p.num_class, p.num_object, scales, p.sqrt, p.constriant)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        cells = self.side**2
        for index, each in enumerate((self.classes + 5 * self.boxes, 7)):
            shape = bottoms[index]
            if prod(shape[1:]) != cells * each or shape[:1] != bottoms[0][:1]:
                raise ShapeError(
                    f"bottom[{index}] must hold {cells * each} numbers for each image, got {shape}"
                )
        return ((),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _corner(self) -> Array:
        """Column and row of each cell, (2, L)."""
        row, column = np.indices((self.side, self.side)).reshape(2, -1)
        return np.stack([column, row])

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = self._parts(g, bottoms)
        overlaps, chosen = self._chosen(g, x)  # (N, B, L)
        others = g.op("Sub", g.const(1), chosen)
        right = self._right(g, x.box)
        of_sure, of_none, of_class, of_place = (g.const(scale) for scale in self.scales)
        wrong = g.op("Mul", g.op("Sub", x.classes, x.label), x.real)
        lacking = g.op("Mul", g.op("Sub", x.sure, g.const(1)), chosen)
        surplus = g.op("Mul", x.sure, others)
        away = g.op("Mul", g.op("Sub", x.coded, right), g.op("Unsqueeze", chosen, g.ints([2])))
        number = g.op("ReduceSum", x.real, keepdims=0)
        none = g.op("ReduceSum", others, keepdims=0)
        objects = [(lacking, of_sure), (wrong, of_class), (away, of_place)]
        sums = [g.op("Mul", g.op("ReduceSumSquare", part, keepdims=0), scale) for part, scale in objects]
        loss = g.op("Div", g.sum_in_order(sums), g.op("Max", number, g.const(1)))
        rest = g.op("Mul", g.op("ReduceSumSquare", surplus, keepdims=0), of_none)
        loss = g.op("Add", loss, g.op("Div", rest, g.op("Max", none, g.const(1))))
        rescored = g.op("Mul", g.op("Mul", g.op("Sub", x.sure, overlaps), chosen), of_sure)
        slopes = (
            g.op("Mul", wrong, of_class),
            g.op("Add", g.op("Mul", surplus, of_none), rescored),
            g.op("Mul", away, of_place),
        )
        return Emitted((loss,), _Saved((bottoms[0], bottoms[1]), slopes))

    def _parts(self, g: GraphBuilder, bottoms: Sequence[Value]) -> _Prediction:
        cells, boxes = self.side**2, self.boxes
        x = g.op("Reshape", bottoms[0].name, g.ints([0, -1, cells]))
        classes, sure, coded = g.ops("Split", x, g.ints([self.classes, boxes, 4 * boxes]), outputs=3, axis=1)
        y = g.op("Reshape", bottoms[1].name, g.ints([0, 7 * cells]))
        sizes = g.ints([cells] * 3 + [4 * cells])
        _, real, label, box = g.ops("Split", y, sizes, outputs=4, axis=1)
        real = g.op("Cast", g.op("Not", g.op("Equal", real, g.const(0))), to=FLOAT)
        numbers = g.const(np.arange(self.classes)[:, None])
        right = g.op("Equal", g.op("Unsqueeze", g.op("Floor", label), g.ints([1])), numbers)
        box = g.op("Transpose", g.op("Reshape", box, g.ints([0, 1, cells, 4])), perm=[0, 1, 3, 2])
        return _Prediction(
            classes,
            sure,
            g.op("Reshape", coded, g.ints([0, boxes, 4, cells])),
            g.op("Cast", right, to=FLOAT),
            box,
            g.op("Unsqueeze", real, g.ints([1])),
        )

    def _chosen(self, g: GraphBuilder, x: _Prediction) -> tuple[str, str]:
        """How far each box overlaps the object, and 1 for the one that counts, (N, B, L)."""
        centre, side = g.ops("Split", x.coded, outputs=2, axis=2, num_outputs=2)
        if self.in_cell:
            centre = g.op("Mul", g.op("Add", centre, g.const(self._corner())), g.const(1 / self.side))
        if self.roots:
            side = g.op("Mul", side, side)
        right, sides = g.ops("Split", x.box, outputs=2, axis=2, num_outputs=2)
        ends = []
        for middle, length in ((centre, side), (right, sides)):
            half = g.op("Mul", length, g.const(0.5))
            ends.append((g.op("Sub", middle, half), g.op("Add", middle, half)))
        (a, b), (c, d) = ends
        common = g.op("Max", g.op("Sub", g.op("Min", b, d), g.op("Max", a, c)), g.const(0))
        shared = g.op("ReduceProd", common, g.ints([2]), keepdims=0)
        areas = [g.op("ReduceProd", length, g.ints([2]), keepdims=0) for length in (side, sides)]
        union = g.op("Sub", g.op("Add", *areas), shared)
        some = g.op("Greater", shared, g.const(0))
        overlaps = g.op("Where", some, g.op("Div", shared, union), g.const(0))
        away = g.op("Sub", g.op("Concat", centre, side, axis=2), x.box)
        far = g.op("Sqrt", g.op("ReduceSumSquare", away, g.ints([2]), keepdims=0))
        near = g.op("Where", g.op("Less", far, g.const(FARTHEST)), far, g.const(FARTHEST))
        best = g.op("ReduceMax", overlaps, g.ints([1]))
        by_overlap, by_place = g.op("ArgMax", overlaps, axis=1), g.op("ArgMax", g.op("Neg", near), axis=1)
        index = g.op("Where", g.op("Greater", best, g.const(0)), by_overlap, by_place)  # (N, 1, L)
        one = g.op("Cast", g.op("Equal", index, g.const(np.arange(self.boxes)[:, None], np.int64)), to=FLOAT)
        return overlaps, g.op("Mul", one, x.real)

    def _right(self, g: GraphBuilder, box: str) -> str:
        """What should be predicted for a box, (N, 1, 4, L)."""
        centre, side = g.ops("Split", box, outputs=2, axis=2, num_outputs=2)
        if self.in_cell:
            centre = g.op("Sub", g.op("Mul", centre, g.const(self.side)), g.const(self._corner()))
        if self.roots:
            side = g.op("Sqrt", g.op("Max", side, g.const(0)))
        return g.op("Concat", centre, side, axis=2)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        x = saved.bottoms[0]
        parts = [g.op("Reshape", slope, g.ints([0, -1, self.side**2])) for slope in saved.slopes]
        weight = g.op("Div", d_tops[0], count(g, x, 0, 1))
        dx = g.op("Mul", g.op("Concat", *parts, axis=1), weight)
        return Gradients((shaped_like(g, Value(dx, (x.dims[0], None, None)), x), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        cells = self.side**2
        predicted, right = bottoms[0].reshape(-1, self.classes + 5 * self.boxes, cells), bottoms[1]
        right = right.reshape(-1, 7 * cells)
        sums, number = np.zeros(2), 0
        of_sure, of_none, of_class, of_place = self.scales
        for image, truth in zip(predicted, right, strict=True):
            sums[1] += of_none * (image[self.classes : self.classes + self.boxes] ** 2).sum()
            for cell in np.flatnonzero(truth[cells : 2 * cells]).tolist():
                box = truth[3 * cells + 4 * cell : 3 * cells + 4 * cell + 4]
                coded = image[self.classes + self.boxes :, cell].reshape(self.boxes, 4)
                best = self._reference_best(coded, box, cell)
                sure = image[self.classes + best, cell]
                label = np.arange(self.classes) == int(truth[2 * cells + cell])
                away = coded[best] - self._reference_right(box, cell)
                sums[0] += of_sure * (sure - 1) ** 2 + of_place * (away**2).sum()
                sums[0] += of_class * ((image[: self.classes, cell] - label) ** 2).sum()
                sums[1] -= of_none * sure**2
                number += 1
        others = cells * self.boxes * len(predicted) - number
        return Referenced((np.asarray(sums[0] / max(number, 1) + sums[1] / max(others, 1)),))

    def _reference_right(self, box: Array, cell: int) -> Array:
        centre = box[:2] * self.side - self._corner()[:, cell] if self.in_cell else box[:2]
        return np.concatenate([centre, np.sqrt(np.maximum(box[2:], 0)) if self.roots else box[2:]])

    def _reference_best(self, coded: Array, box: Array, cell: int) -> int:
        """Which of the boxes (B, 4) of a cell counts."""
        centre = (coded[:, :2] + self._corner()[:, cell]) / self.side if self.in_cell else coded[:, :2]
        side = coded[:, 2:] ** 2 if self.roots else coded[:, 2:]
        low = np.maximum(centre - side / 2, box[:2] - box[2:] / 2)
        high = np.minimum(centre + side / 2, box[:2] + box[2:] / 2)
        shared = np.maximum(high - low, 0).prod(1)
        if (shared > 0).any():
            union = side.prod(1) + box[2:].prod() - shared
            return int(np.argmax(np.where(shared > 0, shared / np.where(shared > 0, union, 1), 0)))
        far = np.sqrt(((np.concatenate([centre, side], axis=1) - box) ** 2).sum(1))
        return int(np.argmin(np.minimum(far, FARTHEST)))

"""Yolov3: how far the boxes of a YOLO v3 net are from the right ones (MobileNet-YOLO's layer; not from BVLC
Caffe).

Source: eric612/MobileNet-YOLO, field ``yolov3_param``; "YOLOv3: An Incremental Improvement" for what it is
for. The fork changed the layer often: these are the rules of its later versions with ``iou_loss: MSE``. The
first ones had the sign of one slope of the classes wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, INT64, Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.anchor_boxes import (
    AnchorBoxes,
    AnchorGrid,
    as_table,
    emit_as_predictions,
    emit_boxes,
    emit_corners,
    emit_near,
)
from vggrepro.layers.rules.box_code import Pairs, emit_overlap, overlap
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.loss import LossLayer, count
from vggrepro.layers.rules.yolo_truth import YoloTruth, emit_rows, emit_used_rows

ROWS = 300
"""Of right boxes for each image."""

TINY = 1e-15
"""Added to a share before its logarithm is taken."""


class _Owners(NamedTuple):
    """Tensors of the graph: of each box the right boxes that it is to become."""

    mine: str
    """1 for each of them, (N, K, A)."""
    first: str
    """Its index, or 0; int64 (N, A, 1)."""
    last: str
    own: str
    """Whether there is one, bool (N, A, 1)."""


class _Saved(NamedTuple):
    bottoms: tuple[Value, Value]
    slopes: str
    """(N, A, 5 + C)."""
    sigmoids: tuple[str, str, str]
    """Of places, confidences and classes."""


@register
@dataclass(frozen=True)
class Yolov3(LossLayer[_Saved]):
    """Bottoms: predictions (N, num * (5 + C), H, W), for each anchor x, y, width, height, confidence and
    classes, and labels (N, 1, 300, 5), rows of class, x, y, width and height in units of the image, which end
    with an x or a width of 0. Top: the loss (), the N-th part of the sum of the squares of the slopes, of
    which the gradient is the N-th part too.

    The confidence of a box that overlaps no right one by more than ``thresh`` should be 0. Of all ``biases``
    the one that overlaps a right box most, both laid one upon the other, says which box of the cell of its
    centre should become it, if this layer's ``mask`` has it; of several right boxes, the last. Sides of
    anchors are in pixels of an image of H and W times ``anchors_scale``. Slopes of places are multiplied by
    ``coord_scale`` and by 2 less the right box's area. All confidences are sigmoids: a box's class should be
    1 and the others 0, times ``class_scale``, with ``use_focal_loss`` also by half of
    ``(1 - p) (1 - p - 2 p log p)``, p the confidence of the right class. Of several right boxes of one box
    this is the first's; classes of the others should be 1 without a factor. ``use_logic_gradient`` multiplies
    the gradient by the derivatives of the sigmoids, and the slopes of confidences that should be 1 by
    ``object_scale``. ``side`` and ``noobject_scale`` have no effect.

    DEVIATION: boxes whose centre is out of the image teach nothing, where the fork writes elsewhere. Whether
    a right box is a box's first one does not depend on the slope of class 0 being 0.
    """

    type = "Yolov3"
    origin = "MobileNet-YOLO"

    classes: int
    biases: tuple[tuple[float, float], ...]
    """Widths and heights of all anchors, in pixels."""
    mask: tuple[int, ...]
    """Which of them this layer has."""
    step: int = 32
    """Pixels of the image in a cell."""
    scales: tuple[float, float, float] = (1.0, 1.0, 5.0)
    """Of confidences that should be 1, of classes, of places."""
    threshold: float = 0.2
    logistic: bool = False
    focal: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Yolov3:
        p = param.yolov3_param
        if min(p.num_class, p.num, p.anchors_scale) < 1 or len(p.mask) < p.num:
            raise NetError(
                f"yolov3_param: needs num_class, num, anchors_scale and {p.num} mask, got {len(p.mask)} mask"
            )
        biases = tuple(zip(p.biases[0:-1:2], p.biases[1::2], strict=True))
        mask = tuple(p.mask[: p.num])
        if max(mask) >= len(biases) or min(map(min, biases)) <= 0:
            raise NetError(f"yolov3_param: mask {list(mask)} needs more biases than {len(p.biases)}, above 0")
        scales = (p.object_scale if p.use_logic_gradient else 1.0, p.class_scale, p.coord_scale)
        flags = (p.use_logic_gradient, p.use_focal_loss)
        return cls(p.num_class, biases, mask, p.anchors_scale, scales, p.thresh, *flags)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, y = bottoms
        channels = len(self.mask) * (5 + self.classes)
        if len(x) != 4 or x[1] != channels:
            raise ShapeError(f"bottom[0] must be (N, {channels}, H, W), got {x}")
        if y[:1] != x[:1] or prod(y[1:]) != 5 * ROWS:
            raise ShapeError(f"bottom[1] must be ({x[0]}, 1, {ROWS}, 5), got {y}")
        return ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, self.classes, column=(5, 0))

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _grid(self, dims: Dims) -> AnchorGrid:
        return AnchorGrid.of(dims[2:], np.array(self.biases)[np.array(self.mask)] / self.step)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = emit_boxes(g, bottoms[0], len(self.mask), self.classes)
        shares = g.op("Sigmoid", x.scores)
        rows = g.op("Reshape", bottoms[1].name, g.ints([0, ROWS, 5]))
        truth = emit_rows(g, emit_used_rows(g, rows))
        owners = self._owners(g, bottoms[0], truth)
        near = emit_near(g, emit_corners(g, x, self._grid(bottoms[0].dims)), truth, self.threshold)
        none = g.op("Where", near, g.const(0), x.sure)
        lacking = g.op("Mul", g.op("Sub", x.sure, g.const(1)), g.const(self.scales[0]))
        d_sure = g.op("Where", owners.own, lacking, none)
        d_place = self._places(g, bottoms[0], x, truth, owners)
        slopes = g.op("Concat", d_place, d_sure, self._classes(g, shares, truth, owners), axis=2)
        loss = g.op("Div", g.op("ReduceSumSquare", slopes, keepdims=0), count(g, bottoms[0], 0, 1))
        return Emitted((loss,), _Saved((bottoms[0], bottoms[1]), slopes, (x.inner, x.sure, shares)))

    def _owners(self, g: GraphBuilder, x: Value, truth: YoloTruth) -> _Owners:
        sizes, corner, _ = self._grid(x.dims)
        cell = g.op("Floor", g.op("Mul", truth.centre, g.const(sizes)))  # (N, K, 2): column, row
        place = g.op("ReduceSum", g.op("Mul", cell, g.const([1, sizes[0]])), g.ints([2]))  # (N, K, 1)
        half = g.const(np.array(self.biases) / self.step / sizes / 2)  # (biases, 2)
        other = g.op("Unsqueeze", g.op("Mul", truth.side, g.const(0.5)), g.ints([2]))  # (N, K, 1, 2)
        overlaps = emit_overlap(g, Pairs(g.op("Neg", half), half), Pairs(g.op("Neg", other), other))
        number = g.op("Gather", g.const(self._numbers()), g.op("ArgMax", overlaps, axis=2))  # (N, K, 1)
        some = g.op("Greater", g.op("ReduceMax", overlaps, g.ints([2])), g.const(0))
        known = g.op("And", some, g.op("GreaterOrEqual", number, g.const(0)))
        box = g.op("Add", g.op("Mul", place, g.const(len(self.mask))), number)
        mine = g.op("Equal", box, g.const(np.arange(len(corner))))  # (N, K, A)
        mine = g.op("And", mine, g.op("And", known, g.op("Unsqueeze", truth.taught, g.ints([2]))))
        mine = g.op("Cast", mine, to=FLOAT)
        order = g.op("Cast", axis_places(g, truth.label, 1), to=FLOAT)
        order = g.op("Unsqueeze", g.op("Add", order, g.const(1)), g.ints([1]))
        last = g.op("ReduceMax", g.op("Mul", mine, order), g.ints([1]), keepdims=0)  # from 1 on, (N, A)
        last = g.op("Unsqueeze", last, g.ints([2]))
        index = g.op("Max", g.op("Sub", g.op("Cast", last, to=INT64), g.ints(1)), g.ints(0))
        first = g.op("Unsqueeze", g.op("ArgMax", mine, axis=1, keepdims=0), g.ints([2]))
        return _Owners(mine, first, index, g.op("Greater", last, g.const(0)))

    def _numbers(self) -> npt.NDArray[np.int64]:
        """Of each of all anchors which of the layer's it is; -1 for none."""
        return np.array([self.mask.index(b) if b in self.mask else -1 for b in range(len(self.biases))])

    def _places(
        self, g: GraphBuilder, x: Value, predicted: AnchorBoxes, truth: YoloTruth, owners: _Owners
    ) -> str:
        """Slopes of places and sides, (N, A, 4)."""
        sizes, corner, anchors = self._grid(x.dims)
        centre = g.op("GatherND", truth.centre, owners.last, batch_dims=1)
        side = g.op("GatherND", truth.side, owners.last, batch_dims=1)
        right = g.op("Sub", g.op("Mul", centre, g.const(sizes)), g.const(corner))
        stretch = g.op("Log", g.op("Mul", side, g.const(sizes / anchors)))
        away = g.op(
            "Concat", g.op("Sub", predicted.inner, right), g.op("Sub", predicted.stretch, stretch), axis=2
        )
        area = g.op("ReduceProd", side, g.ints([2]))
        scale = g.op("Mul", g.op("Sub", g.const(2), area), g.const(self.scales[2]))
        return g.op("Where", owners.own, g.op("Mul", away, scale), g.const(0))

    def _classes(self, g: GraphBuilder, shares: str, truth: YoloTruth, owners: _Owners) -> str:
        """Slopes of classes, (N, A, C)."""
        one = g.op("Equal", g.op("Unsqueeze", truth.label, g.ints([2])), g.ints(list(range(self.classes))))
        one = g.op("Cast", one, to=FLOAT)  # (N, K, C)
        right = g.op("GatherND", one, owners.first, batch_dims=1)  # (N, A, C)
        wrong = g.op("Mul", g.op("Sub", shares, right), g.const(self.scales[1]))
        if self.focal:
            share = g.op("ReduceSum", g.op("Mul", shares, right), g.ints([2]))
            share = g.op("Add", share, g.const(TINY))
            rest = g.op("Sub", g.const(1), share)
            logs = g.op("Mul", g.op("Mul", share, g.op("Log", share)), g.const(2))
            focus = g.op("Mul", g.op("Mul", rest, g.op("Sub", rest, logs)), g.const(0.5))
            wrong = g.op("Mul", wrong, focus)
        if self.scales[1]:
            every = g.op("MatMul", g.op("Transpose", owners.mine, perm=[0, 2, 1]), one)
            later = g.op("Greater", g.op("Sub", every, right), g.const(0.5))
            wrong = g.op("Where", later, g.op("Sub", shares, g.const(1)), wrong)
        return g.op("Where", owners.own, wrong, g.const(0))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        x, slopes = saved.bottoms[0], saved.slopes
        if self.logistic:
            inner, sure, shares = (g.op("Mul", p, g.op("Sub", g.const(1), p)) for p in saved.sigmoids)
            ones = g.op("Expand", g.const(1), g.op("Shape", inner))
            slopes = g.op("Mul", slopes, g.op("Concat", inner, ones, sure, shares, axis=2))
        table = emit_as_predictions(g, slopes, x, len(self.mask))
        return Gradients((g.op("Mul", table, g.op("Div", d_tops[0], count(g, x, 0, 1))), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, y = bottoms
        images, table = len(x), as_table(x, len(self.mask))
        slopes = [
            self._reference_slopes(own, rows, self._grid(x.shape))
            for own, rows in zip(table, y.reshape(images, ROWS, 5), strict=True)
        ]
        return Referenced((np.asarray(np.sum(np.square(slopes)) / images),))

    def _reference_slopes(self, table: Array, rows: Array, grid: AnchorGrid) -> Array:
        """Of one image, (A, 5 + C): predictions and right boxes (300, 5)."""
        sizes, corner, anchors = grid
        of_sure, of_class, of_place = self.scales
        values = 1 / (1 + np.exp(-table))
        values[:, 2:4] = table[:, 2:4]
        centre, half = (values[:, :2] + corner) / sizes, np.exp(table[:, 2:4]) * anchors / sizes / 2
        seen = rows[np.cumprod(rows[:, 1] != 0) > 0]
        ends = np.hstack([seen[:, 1:3] - seen[:, 3:] / 2, seen[:, 1:3] + seen[:, 3:] / 2])
        found = overlap(np.hstack([centre - half, centre + half])[:, None], ends).max(1, initial=0)
        slopes = np.zeros_like(table)
        slopes[:, 4] = np.where(found > self.threshold, 0, values[:, 4])
        every, taught = np.array(self.biases) / self.step / sizes, set()
        for label, *box in rows[np.cumprod(rows[:, 3] != 0) > 0]:
            at, sides = np.array(box[:2]), np.array(box[2:])
            overlaps = overlap(np.hstack([-every, every]) / 2, np.hstack([-sides, sides]) / 2)
            best = int(overlaps.argmax())
            if (at < 0).any() or (at >= 1).any() or overlaps[best] <= 0 or best not in self.mask:
                continue
            column, row = (at * sizes).astype(int)
            place = (row * int(sizes[0]) + column) * len(self.mask) + self.mask.index(best)
            right = np.hstack([at * sizes - corner[place], np.log(sides * sizes / anchors[place])])
            slopes[place, :4] = of_place * (2 - sides.prod()) * (values[place, :4] - right)
            slopes[place, 4] = of_sure * (values[place, 4] - 1)
            shares, p = values[place, 5:], values[place, 5 + int(label)] + TINY
            if place not in taught:
                focus = (1 - p) * (1 - p - 2 * p * np.log(p)) / 2 if self.focal else 1
                slopes[place, 5:] = of_class * (shares - (np.arange(self.classes) == int(label))) * focus
            elif of_class:
                slopes[place, 5 + int(label)] = shares[int(label)] - 1
            taught.add(place)
        return slopes

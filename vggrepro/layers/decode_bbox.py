"""DecodeBBox: the boxes that a stage of a cascade makes of an earlier one's (Cascade R-CNN's layer; not from
BVLC Caffe).

Source: zhaoweicai/cascade-rcnn, fields ``bbox_reg_param`` and ``decode_bbox_param``. "Cascade R-CNN: Delving
into High Quality Object Detection", section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Count, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.regions import region_rows


@register
@dataclass(frozen=True)
class DecodeBBox(Layer[None]):
    """Bottoms: x, y, width and height of the background and of objects of any class, (R, 8), and boxes
    (R, 5): index of the image, x1, y1, x2, y2 in pixels, last ones included. Top (R, 5, 1, 1): the same
    index, and the box, whose centre is moved by x and y times its sides, and whose sides are stretched by the
    exponential of width and height.

    In TRAIN boxes that end before they begin are left out. So are, with a third bottom (R, 6) whose last
    number is the overlap with the right box, those that overlap it by ``gt_iou_thr`` or more: they are right
    boxes themselves. ``cls_aware`` has no effect, as in the fork.

    DEVIATION: a top has the rows of boxes that the fork leaves out too. They are 0, which ProposalTarget
    takes for none.
    """

    type = "DecodeBBox"
    origin = "Cascade R-CNN"
    bottoms = Count(2, 3)
    has_gradient = False

    statistics: BoxStatistics
    leaves_out: bool = False
    most_overlap: float = 0.95

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DecodeBBox:
        if phase != TRAIN and len(param.bottom) > 2:
            raise NetError("Check failed: this->phase_ == TRAIN, with three bottoms")
        return cls(BoxStatistics.from_param(param), phase == TRAIN, param.decode_bbox_param.gt_iou_thr)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        for shape, columns, index in zip(bottoms, (8, 5, 6), range(3), strict=False):
            if len(shape) < 2 or prod(shape[1:]) != columns or shape[0] != bottoms[0][0]:
                raise ShapeError(f"bottom[{index}] must be (R, {columns}), got shapes {tuple(bottoms)}")
        return ((bottoms[1][0], 5, 1, 1),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        coded = g.op("Reshape", bottoms[0].name, g.ints([0, 2, 4]))
        coded = self.statistics.emit(g, g.op("Gather", coded, g.ints(1), axis=1))
        shift, stretch = g.ops("Split", coded, outputs=2, axis=1, num_outputs=2)
        image, first, last = g.ops("Split", region_rows(g, bottoms[1]), g.ints([1, 2, 2]), outputs=3, axis=1)
        side = g.op("Add", g.op("Sub", last, first), g.const(1))
        centre = g.op("Mul", g.op("Add", first, last), g.const(0.5))
        middle = g.op("Add", g.op("Mul", shift, side), centre)
        length = g.op("Sub", g.op("Mul", g.op("Exp", stretch), side), g.const(1))  # without its last pixel
        begin = g.op("Sub", middle, g.op("Mul", length, g.const(0.5)))
        rows = g.op("Concat", image, begin, g.op("Add", begin, length), axis=1)
        if self.leaves_out:
            rows = g.op("Where", self._left_out(g, length, bottoms[2:]), g.const(0), rows)
        return Emitted((g.op("Unsqueeze", rows, g.ints([2, 3])),), None)

    def _left_out(self, g: GraphBuilder, length: str, right: Sequence[Value]) -> str:
        """Which boxes are, bool (R, 1)."""
        out = g.op("Less", g.op("ReduceMin", length, g.ints([1])), g.const(0))
        for rows in right:
            overlap = g.op("Gather", g.op("Reshape", rows.name, g.ints([-1, 6])), g.ints([5]), axis=1)
            out = g.op("Or", out, g.op("GreaterOrEqual", overlap, g.const(self.most_overlap)))
        return out

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        coded = self.statistics.reference(bottoms[0].reshape(-1, 2, 4)[:, 1])
        rows = bottoms[1].reshape(-1, 5)
        side = rows[:, 3:] - rows[:, 1:3] + 1
        middle = (rows[:, 1:3] + rows[:, 3:]) / 2 + coded[:, :2] * side
        half = (np.exp(coded[:, 2:]) * side - 1) / 2
        top = np.column_stack([rows[:, 0], middle - half, middle + half])
        if self.leaves_out:
            top[(half < 0).any(1)] = 0
            for right in bottoms[2:]:
                top[right.reshape(-1, 6)[:, 5] >= self.most_overlap] = 0
        return Referenced((top[:, :, None, None],))

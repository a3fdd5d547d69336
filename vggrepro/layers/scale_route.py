"""ScaleRoute: the boxes of a range of sizes, for one map of a pyramid (Cascade R-CNN's layer; not from
BVLC Caffe).

Source: zhaoweicai/cascade-rcnn, field ``scale_route_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, at_least, register
from vggrepro.layers.rules.regions import region_rows


@register
@dataclass(frozen=True)
class ScaleRoute(Layer[None]):
    """Bottoms: boxes (R, 5), index of the image, x1, y1, x2, y2 in pixels, last ones included, and further
    blobs (R, ...). Tops: the rows of each bottom whose box has a scale, the square root of its area, of at
    least ``low_scale`` and below ``high_scale``; if there is none, the row whose scale is the nearest to the
    range's geometric middle (to its one end; to 256 without any), by their ratio.

    How many rows the tops have is known only when the graph runs; their declared shape has all R.
    """

    type = "ScaleRoute"
    origin = "Cascade R-CNN"
    bottoms = at_least(1)
    tops = at_least(1)
    has_gradient = False

    low: float | None = None
    high: float | None = None

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ScaleRoute:
        p = param.scale_route_param
        if len(param.top) != len(param.bottom):
            raise NetError(f"bottom.size() == top.size() ({len(param.bottom)} vs. {len(param.top)})")
        low = p.low_scale if p.HasField("low_scale") else None
        high = p.high_scale if p.HasField("high_scale") else None
        if (low is not None and low <= 0) or (high is not None and high < (low or 0)):
            raise NetError(f"scale_route_param: expected 0 < low_scale <= high_scale, got {low} and {high}")
        return cls(low, high)

    @property
    def middle(self) -> float:
        """The scale that is taken for want of one in the range."""
        ends = [end for end in (self.low, self.high) if end is not None]
        return float(np.prod(ends) ** (1 / len(ends))) if ends else 256.0

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        boxes = bottoms[0]
        if len(boxes) < 2 or prod(boxes[1:]) != 5:
            raise ShapeError(f"bottom[0] must have 5 numbers for each box, got shape {boxes}")
        if any(shape[:1] != boxes[:1] for shape in bottoms):
            raise ShapeError(f"bottoms must have one row for each box, got shapes {tuple(bottoms)}")
        return tuple(bottoms)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        _, first, last = g.ops("Split", region_rows(g, bottoms[0]), g.ints([1, 2, 2]), outputs=3, axis=1)
        sides = g.op("Add", g.op("Sub", last, first), g.const(1))
        valid = g.op("Cast", g.op("GreaterOrEqual", last, first), to=FLOAT)
        sides = g.op("Mul", sides, valid)
        scales = g.op("Sqrt", g.op("ReduceProd", sides, g.ints([1]), keepdims=0))  # (R,)
        marks = self._marks(g, scales)
        return Emitted(tuple(g.op("Compress", item.name, marks, axis=0) for item in bottoms), None)

    def _marks(self, g: GraphBuilder, scales: str) -> str:
        """Which rows stay: bool (R,)."""
        inside = g.op("GreaterOrEqual", scales, g.const(self.low or 0))
        if self.high is not None:
            inside = g.op("And", inside, g.op("Less", scales, g.const(self.high)))
        distance = g.op("Abs", g.op("Log", g.op("Div", scales, g.const(self.middle))))
        nearest = g.op("ArgMin", distance, axis=0)  # (1,)
        number = g.op("Squeeze", g.op("Shape", scales))
        chosen = g.op("Equal", g.op("Range", g.ints(0), number, g.ints(1)), nearest)
        most = g.op("ReduceMax", g.op("Cast", inside, to=FLOAT), keepdims=1)  # (1,): 0 where none is inside
        return g.op("Or", inside, g.op("And", chosen, g.op("Equal", most, g.const(0))))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        rows = bottoms[0].reshape(-1, 5)
        sides = rows[:, 3:] - rows[:, 1:3] + 1
        scales = np.sqrt(np.where((rows[:, 3:] >= rows[:, 1:3]).all(1), sides.prod(1), 0))
        marks = (scales >= (self.low or 0)) & (scales < (np.inf if self.high is None else self.high))
        if not marks.any():
            with np.errstate(divide="ignore"):
                marks = np.arange(len(rows)) == np.abs(np.log(scales / self.middle)).argmin()
        return Referenced(tuple(bottom[marks] for bottom in bottoms))

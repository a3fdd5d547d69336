"""BboxAccuracy: how far predicted boxes overlap the right ones (MS-CNN's layer; not from BVLC Caffe).

Sources: zhaoweicai/mscnn and zhaoweicai/cascade-rcnn, field ``bbox_reg_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Layer,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.box_code import Pairs
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.found_shares import average, emit_average
from vggrepro.layers.rules.pixel_boxes import box_overlap, emit_box_overlap
from vggrepro.layers.rules.regions import region_rows

SAME = 0.975
"""A region that overlaps its box by more than that is the box itself, and does not count."""


@register
@dataclass(frozen=True)
class BboxAccuracy(Layer[None]):
    """Bottoms: x, y, width and height of each of K classes (R, 4 K), with ``cls_aware: false`` of the
    background and of objects (R, 8); regions (R, 5): index of the image, x1, y1, x2, y2 in pixels; of each
    region its label, right box and overlap (R, 6), as ProposalTarget gives them.

    Tops (1, 1, 1, 1): the average overlap of objects' predicted boxes with their right ones; optionally that
    of the regions themselves. -1 where there is no object.

    DEVIATION: Cascade R-CNN sees no overlap of less than a pixel; here, as in MS-CNN, it counts.
    """

    type = "BboxAccuracy"
    origin = "MS-CNN, Cascade R-CNN"
    bottoms = exactly(3)
    tops = Count(1, 2)
    has_gradient = False

    statistics: BoxStatistics
    agnostic: bool = False
    gives_regions: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> BboxAccuracy:
        agnostic = not param.bbox_reg_param.cls_aware
        return cls(BoxStatistics.from_param(param), agnostic, len(param.top) > 1)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        coded, regions, right = bottoms
        sizes = [prod(shape[1:]) for shape in bottoms]
        if len({shape[:1] for shape in bottoms}) > 1 or sizes[1:] != [5, 6]:
            raise ShapeError(
                f"bottoms must be (R, 4 K), (R, 5) and (R, 6), got {coded}, {regions} and {right}"
            )
        if sizes[0] % 4 or (self.agnostic and sizes[0] != 8):
            raise ShapeError(
                f"bottom[0] must have {'8' if self.agnostic else '4 K'} numbers each, got {coded}"
            )
        return ((1, 1, 1, 1),) * (1 + self.gives_regions)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        right = g.op("Reshape", bottoms[2].name, g.ints([-1, 6]))
        number, first, last, overlap = g.ops("Split", right, g.ints([1, 2, 2, 1]), outputs=4, axis=1)
        label = g.op("Cast", number, to=INT64)
        counts = g.op("And", g.op("Greater", label, g.ints(0)), g.op("LessOrEqual", overlap, g.const(SAME)))
        index = g.op("Max", g.op("Min", label, g.ints(1)) if self.agnostic else label, g.ints(0))
        coded = g.op("Reshape", bottoms[0].name, g.ints([0, -1, 4]))
        coded = self.statistics.emit(g, g.op("GatherND", coded, index, batch_dims=1))
        shift, stretch = g.ops("Split", coded, outputs=2, axis=1, num_outputs=2)
        _, *region = g.ops("Split", region_rows(g, bottoms[1]), g.ints([1, 2, 2]), outputs=3, axis=1)
        side = g.op("Add", g.op("Sub", region[1], region[0]), g.const(1))
        centre = g.op("Add", region[0], g.op("Mul", side, g.const(0.5)))
        middle = g.op("Add", g.op("Mul", shift, side), centre)
        length = g.op("Mul", side, g.op("Exp", stretch))
        begin = g.op("Sub", middle, g.op("Mul", length, g.const(0.5)))
        found = Pairs(begin, g.op("Sub", g.op("Add", begin, length), g.const(1)))
        pairs = (found, Pairs(*region))[: 1 + self.gives_regions]
        flags = g.op("Squeeze", counts, g.ints([1]))
        tops = []
        for each in pairs:
            overlaps = g.op("Cast", emit_box_overlap(g, each, Pairs(first, last)), to=FLOAT)
            tops.append(g.op("Reshape", emit_average(g, overlaps, flags), g.ints([1, 1, 1, 1])))
        return Emitted(tuple(tops), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        coded, regions, right = (bottom.reshape(len(bottom), -1) for bottom in bottoms)
        label = right[:, 0].astype(int)
        counts = (label > 0) & (right[:, 5] <= np.float32(SAME))
        index = np.maximum(np.minimum(label, 1) if self.agnostic else label, 0)
        own = self.statistics.reference(coded.reshape(len(coded), -1, 4)[np.arange(len(coded)), index])
        side = regions[:, 3:] - regions[:, 1:3] + 1
        middle, length = regions[:, 1:3] + side / 2 + own[:, :2] * side, side * np.exp(own[:, 2:])
        boxes = np.concatenate([middle - length / 2, middle + length / 2 - 1], axis=1)
        tops = [average(box_overlap(each, right[:, 1:5]), counts) for each in (boxes, regions[:, 1:])]
        return Referenced(tuple(np.full((1, 1, 1, 1), top) for top in tops[: 1 + self.gives_regions]))

"""BoxOutput: the boxes that a proposal network of several scales is sure of (MS-CNN's layer; not from BVLC
Caffe).

Source: zhaoweicai/mscnn, fields ``box_output_param`` and ``bbox_reg_param``. "A Unified Multi-scale Deep
Convolutional Neural Network for Fast Object Detection".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Shapes, at_least, register
from vggrepro.layers.rules.field_boxes import BoxParam, FieldBoxes, Fields, flat_maps, reference_flat_maps


@register
@dataclass(frozen=True)
class BoxOutput(FieldBoxes):
    """Bottoms: of each map scores of classes, that of the background first, and x, y, width and height of one
    box for each place, (N, C + 4, H, W). A box's score is that of its best class less the background's.
    """

    type = "BoxOutput"
    origin = "MS-CNN"
    bottoms = at_least(1)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> BoxOutput:
        p = param.box_output_param
        if not len(p.field_h) == len(p.field_w) == len(p.downsample_rate) > 0:
            raise NetError("box_output_param: needs field_h, field_w and downsample_rate of each bottom")
        sizes = zip(p.field_w, p.field_h, p.downsample_rate, strict=True)
        fields = tuple(Fields(((width, height),), stride) for width, height, stride in sizes)
        return cls(BoxParam.from_param(param, p, fields, pixels=False))

    @property
    def _each(self) -> int:
        return 1

    def _map_shape(self, bottoms: Shapes, index: int) -> Shape:
        images, channels, height, width = bottoms[index]
        if channels < 6 or channels != bottoms[0][1]:
            raise ShapeError(
                f"bottom[{index}] must hold scores of 2 or more classes and 4 places, got {bottoms[index]}"
            )
        return images, height * width

    def _scores(self, g: GraphBuilder, bottoms: Sequence[Value], index: int) -> tuple[str, str]:
        rows = flat_maps(g, bottoms[index], 1)
        below, classes, coded = (
            g.op("Slice", rows, g.ints([begin]), g.ints([end]), g.ints([2]))
            for begin, end in ((0, 1), (1, -4), (-4, np.iinfo(np.int64).max))
        )
        above = g.op("ReduceMax", classes, g.ints([2]))
        return g.op("Squeeze", g.op("Sub", above, below), g.ints([2])), coded

    def _reference_scores(self, bottoms: Sequence[Array], index: int) -> tuple[Array, Array]:
        rows = reference_flat_maps(bottoms[index], 1)
        return rows[..., 1:-4].max(2) - rows[..., 0], rows[..., -4:]

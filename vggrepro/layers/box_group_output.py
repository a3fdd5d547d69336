"""BoxGroupOutput: the boxes that a proposal network with groups of boxes at each place is sure of (Cascade
R-CNN's layer; not from BVLC Caffe).

Source: zhaoweicai/cascade-rcnn, fields ``box_group_output_param`` and ``bbox_reg_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Shapes, at_least, register
from vggrepro.layers.rules.field_boxes import BoxParam, FieldBoxes, Fields, flat_maps, reference_flat_maps


@register
@dataclass(frozen=True)
class BoxGroupOutput(FieldBoxes):
    """Bottoms: of each map, with K fields at each place, the probabilities of classes (N * K, C, H, W), that
    of the background first, and x, y, width and height (N * K, 4, H, W). A box's score is 1 less the
    probability of the background.
    """

    type = "BoxGroupOutput"
    origin = "Cascade R-CNN"
    bottoms = at_least(2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> BoxGroupOutput:
        p = param.box_group_output_param
        fields = []
        for group in p.box_group_param:
            if not len(group.field_h) == len(group.field_w) > 0:
                raise NetError("box_group_param: needs field_h and field_w of each box")
            fields.append(Fields(tuple(zip(group.field_w, group.field_h, strict=True)), group.stride))
        if not fields:
            raise NetError("box_group_output_param: needs a box_group_param for each two bottoms")
        if p.iou_thr * p.min_size < 1:  # the fork sees no overlap of less than a pixel
            raise UnsupportedError("box_group_output_param: iou_thr must be at least 1 / min_size")
        return cls(BoxParam.from_param(param, p, tuple(fields), pixels=True))

    @property
    def _each(self) -> int:
        return 2

    def _map_shape(self, bottoms: Shapes, index: int) -> Shape:
        scores, places = bottoms[2 * index : 2 * index + 2]
        number = len(self.param.fields[index].sides)
        if scores[0] % number or tuple(places) != (scores[0], 4, *scores[2:]):
            raise ShapeError(
                f"{number} boxes at each place need bottoms (N * {number}, C, H, W) and"
                f" (N * {number}, 4, H, W), got shapes {scores} and {places}"
            )
        return scores[0] // number, number * scores[2] * scores[3]

    def _scores(self, g: GraphBuilder, bottoms: Sequence[Value], index: int) -> tuple[str, str]:
        scores, places = bottoms[2 * index : 2 * index + 2]
        number = len(self.param.fields[index].sides)
        background = g.op("Slice", scores.name, g.ints([0]), g.ints([1]), g.ints([1]))
        rows = flat_maps(g, Value(background, (scores.dims[0], 1, *scores.dims[2:])), number)
        return g.op("Sub", g.const(1), g.op("Squeeze", rows, g.ints([2]))), flat_maps(g, places, number)

    def _reference_scores(self, bottoms: Sequence[Array], index: int) -> tuple[Array, Array]:
        scores, places = bottoms[2 * index : 2 * index + 2]
        number = len(self.param.fields[index].sides)
        return 1 - reference_flat_maps(scores[:, :1], number)[..., 0], reference_flat_maps(places, number)

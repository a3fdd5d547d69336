"""DetectionGroupAccuracy: how good a proposal network with groups of boxes at each place is (Cascade R-CNN's
layer; not from BVLC Caffe).

Source: zhaoweicai/cascade-rcnn, fields ``detection_group_accuracy_param`` and ``bbox_reg_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError
from vggrepro.layers.base import Array, Count, Emitted, Layer, Reach, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.field_accuracy import FieldAccuracy
from vggrepro.layers.rules.field_maps import check_groups, emit_groups, group_maps


@register
@dataclass(frozen=True)
class DetectionGroupAccuracy(Layer[None]):
    """Bottoms, with K fields at each place: scores of ``cls_num`` classes, that of the background first (N *
    K, C, H, W); x, y, width and height (N * K, 4, H, W); labels, right boxes (centre, width and height in
    pixels) and overlaps (N * K, 6, H, W). Tops: the shares of places and of objects whose label is the best
    class (1, 1, 1, 2); optionally the average overlap of objects' boxes (1, 1, 1, 1), to which less than a
    pixel adds nothing: :mod:`vggrepro.layers.rules.field_accuracy`."""

    type = "DetectionGroupAccuracy"
    origin = "Cascade R-CNN"
    bottoms = exactly(3)
    tops = Count(1, 2)
    has_gradient = False

    accuracy: FieldAccuracy
    gives_overlap: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DetectionGroupAccuracy:
        p = param.detection_group_accuracy_param
        if len(p.field_w) != len(p.field_h):
            raise NetError("detection_group_accuracy_param: needs as many field_w as field_h")
        fields = zip(p.field_w, p.field_h, strict=True)
        statistics = BoxStatistics.from_param(param)
        accuracy = FieldAccuracy.from_param(param, p, fields, p.stride, statistics=statistics, least=1.0)
        return cls(accuracy, len(param.top) > 1)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_groups(bottoms, len(self.accuracy.fields.sides), self.accuracy.classes)
        return ((1, 1, 1, 2), (1, 1, 1, 1))[: 1 + self.gives_overlap]

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        height, width = Value(bottoms[0].name, bottoms[0].dims[2:]).shape
        maps = emit_groups(g, bottoms, len(self.accuracy.fields.sides))
        return Emitted(self.accuracy.emit(g, maps, (height, width))[: 1 + self.gives_overlap], None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        maps = group_maps(bottoms, len(self.accuracy.fields.sides))
        size = (bottoms[0].shape[2], bottoms[0].shape[3])
        return Referenced(self.accuracy.reference(maps, size)[: 1 + self.gives_overlap])

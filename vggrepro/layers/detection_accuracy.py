"""DetectionAccuracy: how good a proposal network of several scales is at the places of a map (MS-CNN's layer;
not from BVLC Caffe).

Source: zhaoweicai/mscnn, field ``detection_accuracy_param``.
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
from vggrepro.layers.rules.field_maps import check_joined, emit_joined, joined_maps


@register
@dataclass(frozen=True)
class DetectionAccuracy(Layer[None]):
    """Bottoms: scores of ``cls_num`` classes, that of the background first, and x, y, width and height (N, C
    + 4, H, W); labels, right boxes (centre, width and height in pixels) and overlaps (N, 6, H, W). Tops: the
    shares of places and of objects whose label is among the ``top_k`` best classes (1, 1, 1, 2); optionally
    the average overlap of objects' boxes (1, 1, 1, 1): :mod:`vggrepro.layers.rules.field_accuracy`."""

    type = "DetectionAccuracy"
    origin = "MS-CNN"
    bottoms = exactly(2)
    tops = Count(1, 2)
    has_gradient = False

    accuracy: FieldAccuracy
    gives_overlap: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DetectionAccuracy:
        p = param.detection_accuracy_param
        if p.coord_num != 4:
            raise NetError(f"detection_accuracy_param: coord_num must be 4, got {p.coord_num}")
        accuracy = FieldAccuracy.from_param(
            param,
            p,
            ((p.field_w, p.field_h),),
            p.downsample_rate,
            statistics=BoxStatistics(),
            top_k=p.top_k,
            last_first=True,
        )
        return cls(accuracy, len(param.top) > 1)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_joined(bottoms, self.accuracy.classes)
        return ((1, 1, 1, 2), (1, 1, 1, 1))[: 1 + self.gives_overlap]

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        height, width = Value(bottoms[0].name, bottoms[0].dims[2:]).shape
        maps = emit_joined(g, bottoms, self.accuracy.classes)
        return Emitted(self.accuracy.emit(g, maps, (height, width))[: 1 + self.gives_overlap], None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        maps = joined_maps(bottoms, self.accuracy.classes)
        size = (bottoms[0].shape[2], bottoms[0].shape[3])
        return Referenced(self.accuracy.reference(maps, size)[: 1 + self.gives_overlap])

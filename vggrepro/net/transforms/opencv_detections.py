"""DetectionOutput as OpenCV's own operator, which OpenCV 4 has in place of those that say it in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from vggrepro.emit import OPENCV, GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Emitted, Shapes
from vggrepro.layers.detection_output import DetectionOutput
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer

CODES = ("CORNER", "CENTER_SIZE")


@dataclass(frozen=True)
class OpenCVDetectionOutput(DetectionOutput):
    """The node ``DetectionOutput``, for OpenCV alone. Its top (1, 1, N * keep_top_k, 7) holds the detections
    first, then zeros."""

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        ((_, _, rows, size),) = super().out_shapes(bottoms)
        return ((1, 1, bottoms[0][0] * self.keep_top_k if self.keep_top_k else rows, size),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        lacking = self._lacking(len(bottoms))
        if lacking:
            raise UnsupportedError(f"DetectionOutput for OpenCV 4: {lacking} (seen on OpenCV 4.8 to 4.14)")
        (shape,) = self.out_shapes([bottom.shape for bottom in bottoms])
        top = g.op(
            "DetectionOutput",
            *(bottom.name for bottom in bottoms),
            domain=OPENCV,
            num_classes=self.classes,
            share_location=int(self.share_location),
            background_label_id=self.background,
            code_type=self.code.name,
            variance_encoded_in_target=int(self.code.variance_in_target),
            nms_threshold=self.nms_threshold,
            top_k=self.top_k or -1,
            keep_top_k=shape[2] // bottoms[0].shape[0],
            confidence_threshold=self.confidence_threshold,
            clip=int(self.code.clip),
        )
        return Emitted((top,), None)

    def _lacking(self, bottoms: int) -> str:
        """What OpenCV's operator cannot do of this layer; "" if it can do it."""
        if self.code.name not in CODES:
            return f"code_type {self.code.name} is not implemented"
        if self.code.variance_in_target:
            return "variance_encoded_in_target is not implemented for prior boxes with variances"
        if self.polygon:
            return "use_polygon is not implemented"
        if self.share_location and self.background not in range(self.classes):
            return "share_location without a background_label_id is not implemented"
        return "" if bottoms == 3 else f"{bottoms} bottoms, expected 3"


def with_opencv_detections(net: Net) -> Net:
    """The net with OpenCV's operator for each DetectionOutput; the shape of its top is OpenCV's."""
    layers, shapes = [], dict(net.shapes)
    for placed in net.layers:
        if type(placed.layer) is DetectionOutput:
            placed = _own(placed)
            (shapes[placed.tops[0]],) = placed.layer.out_shapes([net.shapes[b] for b in placed.bottoms])
        layers.append(placed)
    return replace(net, layers=tuple(layers), shapes=shapes)


def _own(placed: NetLayer) -> NetLayer:
    values = {field.name: getattr(placed.layer, field.name) for field in fields(DetectionOutput)}
    return replace(placed, layer=OpenCVDetectionOutput(**values))

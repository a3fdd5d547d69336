"""ResizeBilinear: linear resizing by one of four rules of where places lie (Synopsys' layer; not from BVLC
Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, field ``resize_bilinear_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.resized_axes import ResizedAxes
from vggrepro.layers.rules.resizing import without_transposes

MODES = {
    "align_corners": "align_corners",
    "half_pixel_centers": "half_pixel",
    "pytorch_half_pixel": "pytorch_half_pixel",
}
"""What ONNX calls where places lie, by the field that says it."""


@register
@dataclass(frozen=True)
class ResizeBilinear(Layer[None]):
    """Bottom and top (N, C, H, W), or as ``data_format`` says, (N, H, W, C) or (N, C, H, W, D). Sizes are
    ``output_height``, ``output_width`` and ``output_depth``, or multiples of the bottom's, rounded down.

    Element i of an axis of n lies at ``i * m / n`` of the m of the bottom; with ``align_corners`` at ``i * (m
    - 1) / (n - 1)``, with ``half_pixel_centers`` and ``pytorch_half_pixel`` at ``(i + 0.5) * m / n - 0.5``,
    and with the latter at 0 if n is 1. Beyond its ends a blob goes on as it ends.

    The defaults of the fork are not known: ``data_format``, and what says where places lie, must be given.
    The fork has no backward pass, and what is for integers is refused.
    """

    type = "ResizeBilinear"
    origin = "Synopsys"
    has_gradient = False

    resized: ResizedAxes
    mode: str
    """As ONNX calls where places lie."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ResizeBilinear:
        p = param.resize_bilinear_param
        resized = ResizedAxes.read(p, "resize_bilinear_param", tuple(MODES))
        return cls(resized, next((mode for field, mode in MODES.items() if getattr(p, field)), "asymmetric"))

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset(self.resized.axes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (self.resized.top(bottoms[0]),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0]
        last = self.resized.layout == "NHWC"
        own = without_transposes(g, x)
        planes = g.op("Transpose", own, perm=[0, 3, 1, 2]) if last else own
        # all sizes, not those of some axes: ONNX Runtime cannot move a Transpose behind a Resize with axes
        wanted = g.ints([size for _, _, size in self.resized.changes(x.dims)])
        sizes = g.op("Concat", g.op("Shape", planes, end=2), wanted, axis=0)
        resized = g.op(
            "Resize", planes, "", "", sizes, mode="linear", coordinate_transformation_mode=self.mode
        )
        return Emitted((g.op("Transpose", resized, perm=[0, 2, 3, 1]) if last else resized,), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        for axis, m, n in self.resized.changes(x.shape):
            at = self._places(m, n).clip(0, m - 1)
            low = np.floor(at).astype(int)
            share = (at - low).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
            x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, m - 1), axis) * share
        return Referenced((x,))

    def _places(self, m: int, n: int) -> Array:
        index = np.arange(n, dtype=np.float64)
        if self.mode == "asymmetric" or (n == 1 and self.mode != "half_pixel"):
            return index * (m / n)
        if self.mode == "align_corners":
            return index * ((m - 1) / (n - 1))
        return (index + 0.5) * (m / n) - 0.5

"""GSTiling: neighbouring places become channels, or the way back (Xilinx's layer; not from BVLC Caffe).

Source: the caffe-xilinx of Xilinx/Vitis-AI, which has it from the driving nets of brodyh/caffe; field
``gs_tiling_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)


@register
@dataclass(frozen=True)
class GSTiling(Layer[None]):
    """Bottom (N, C, H, W), top (N, C s^2, H / s, W / s) with ``stride`` s: channel ``(y s + x) C + c`` holds
    what lies at row y and column x of each block of channel c. With ``reverse`` the way back, from (N, C, H,
    W) to (N, C / s^2, H s, W s)."""

    type = "GSTiling"
    origin = "Xilinx"
    moves_values = True

    stride: int
    reverse: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> GSTiling:
        p = param.gs_tiling_param
        if p.stride < 1:
            raise NetError("gs_tiling_param: stride must be given, and above 0")
        return cls(p.stride, p.reverse)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) != 4:
            raise ShapeError(f"bottom[0] must be (N, C, H, W), got shape {shape}")
        n, c, h, w = shape
        s = self.stride
        if c % (s * s) if self.reverse else h % s or w % s:
            what = f"channels a multiple of {s * s}" if self.reverse else f"height and width multiples of {s}"
            raise ShapeError(f"bottom[0] must have {what}, got shape {shape}")
        return ((n, c // (s * s), h * s, w * s) if self.reverse else (n, c * s * s, h // s, w // s),)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset({1, 2, 3})

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        return Emitted((self._moved(g, bottoms[0].name, reverse=self.reverse),), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((self._moved(g, d_tops[0], reverse=not self.reverse),))

    def _moved(self, g: GraphBuilder, tensor: str, *, reverse: bool) -> str:
        return g.op("DepthToSpace" if reverse else "SpaceToDepth", tensor, blocksize=self.stride)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        (n, c, h, w), s = x.shape, self.stride
        if self.reverse:
            split, order = (n, s, s, c // (s * s), h, w), (0, 3, 4, 1, 5, 2)
        else:
            split, order = (n, c, h // s, s, w // s, s), (0, 3, 5, 1, 2, 4)
        return Referenced((x.reshape(split).transpose(order).reshape(self.out_shapes([x.shape])[0]),))

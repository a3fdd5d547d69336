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

Blocks = tuple[tuple[int, ...], tuple[int, ...]]


@register
@dataclass(frozen=True)
class GSTiling(Layer[Value]):
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

    def _blocks(self, shape: Shape, reverse: bool) -> Blocks:
        """The bottom as six axes, and their order in the top."""
        _, c, h, w = shape
        s = self.stride
        if reverse:
            return (-1, s, s, c // (s * s), h, w), (0, 3, 4, 1, 5, 2)
        return (-1, c, h // s, s, w // s, s), (0, 3, 5, 1, 2, 4)

    def _moved(self, g: GraphBuilder, tensor: str, shape: Shape, reverse: bool, to: Shape) -> str:
        split, order = self._blocks(shape, reverse)
        turned = g.op("Transpose", g.op("Reshape", tensor, g.ints(split)), perm=list(order))
        return g.op("Reshape", turned, g.ints([-1, *to[1:]]))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Value]:
        (x,) = bottoms
        shape = self._shape(x)
        (top,) = self.out_shapes([shape])
        return Emitted((self._moved(g, x.name, shape, self.reverse, top),), x)

    @staticmethod
    def _shape(x: Value) -> Shape:
        """The bottom's, with 1 for the images."""
        return (1, *Value(x.name, x.dims[1:]).shape)

    def grad(self, g: GraphBuilder, saved: Value, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        shape = self._shape(saved)
        (top,) = self.out_shapes([shape])
        return Gradients((self._moved(g, d_tops[0], top, not self.reverse, shape),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        split, order = self._blocks(x.shape, self.reverse)
        return Referenced((x.reshape(split).transpose(order).reshape(self.out_shapes([x.shape])[0]),))

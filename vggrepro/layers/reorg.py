"""Reorg: neighbouring places become channels (the layer of YOLO v2 forks; not from BVLC Caffe).

Sources: gklz1982/caffe-yolov2 and eric612/MobileNet-YOLO, field ``reorg_param``; the order of the values is
that of darknet's ``reorg``. choasup/caffe-yolo9000 has a layer of this name with another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
class Reorg(Layer[Value]):
    """Bottom (N, C, H, W), top (N, C * s^2, H / s, W / s) for a stride s; with ``reverse``
    (N, C / s^2, H * s, W * s).

    Reverse spreads channels over blocks of s x s places: channel ``(i * s + j) * C / s^2 + c`` goes to row
    i and column j of the blocks of channel c. Forward undoes that, as darknet does, on the bottom's values
    taken for (N, C / s^2, H * s, W * s), so C must be divisible by s^2 as well.

    DEVIATION: the forks' backward pass reads a buffer that nobody fills. Here the gradient is taken to
    where the values came from.
    """

    type = "Reorg"
    origin = "YOLO forks"

    stride: int
    reverse: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Reorg:
        p = param.reorg_param
        if not p.HasField("stride"):
            raise NetError("Reorg Layer needs stride param.")
        if p.stride < 1:
            raise NetError(f"reorg_param: stride must be above 0, got {p.stride}")
        return cls(p.stride, p.reverse)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        s = self.stride
        if len(shape) != 4 or shape[1] % s**2 or (not self.reverse and (shape[2] % s or shape[3] % s)):
            raise ShapeError(
                f"Reorg: bottom[0] must be (N, C, H, W) with C divisible by {s**2}"
                f"{'' if self.reverse else f', and H and W by {s}'}, got shape {shape}"
            )
        n, c, h, w = shape
        return ((n, c // s**2, h * s, w * s) if self.reverse else (n, c * s**2, h // s, w // s),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Value]:
        (x,) = bottoms
        if self.reverse:
            return Emitted((g.op("DepthToSpace", x.name, blocksize=self.stride),), x)
        c, h, w = Value(x.name, x.dims[1:]).shape
        s = self.stride
        spread = g.op("Reshape", x.name, g.ints([0, c // s**2, h * s, w * s]))
        gathered = g.op("SpaceToDepth", spread, blocksize=s)
        return Emitted((g.op("Reshape", gathered, g.ints([0, c * s**2, h // s, w // s])),), x)

    def grad(self, g: GraphBuilder, saved: Value, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        if self.reverse:
            return Gradients((g.op("SpaceToDepth", dy, blocksize=self.stride),))
        gathered = g.op("Reshape", dy, g.ints(saved.shape))
        spread = g.op("DepthToSpace", gathered, blocksize=self.stride)
        return Gradients((g.op("Reshape", spread, g.ints(saved.shape)),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        (shape,) = self.out_shapes([x.shape])
        s = self.stride
        n, c, h, w = x.shape
        spread = (n, c // s**2, h, s, w, s)
        if self.reverse:
            top = np.zeros(spread)
            for channel in range(c):
                block, into = divmod(channel, c // s**2)
                top[:, into, :, block // s, :, block % s] = x[:, channel]
            return Referenced((top.reshape(shape),))
        source = x.reshape(spread)
        gathered = [source[:, :, :, i, :, j] for i in range(s) for j in range(s)]
        return Referenced((np.concatenate(gathered, axis=1).reshape(shape),))

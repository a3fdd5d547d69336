"""ChannelNorm: the length of the vector at each place (FlowNet 2's layer; not from BVLC Caffe).

Source: lmb-freiburg/flownet2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Reach, Referenced, Shapes, register

NEAR_ZERO = 1e-9
"""What backward adds to a length by which it divides."""


@register
@dataclass(frozen=True)
class ChannelNorm(Layer[tuple[str, str]]):
    """Bottom (N, C, H, W), top (N, 1, H, W): the square root of the sum of squares over the channels. The
    gradient at a vector of zeros is 0."""

    type = "ChannelNorm"
    origin = "FlowNet"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ChannelNorm:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) != 4:
            raise ShapeError(f"bottom[0] must have 4 axes, got shape {shape}")
        return ((shape[0], 1, *shape[2:]),)

    def reach(self, bottom: Shape) -> Reach | None:
        return Reach((1, 1), (1, 1))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[str, str]]:
        x = bottoms[0].name
        y = g.op("ReduceL2", x, g.ints([1]), keepdims=1)
        return Emitted((y,), (x, y))

    def grad(
        self, g: GraphBuilder, saved: tuple[str, str], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        x, y = saved
        return Gradients((g.op("Mul", x, g.op("Div", dy, g.op("Add", y, g.const(NEAR_ZERO)))),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((np.sqrt(np.square(bottoms[0]).sum(1, keepdims=True)),))

"""ChannelScale: all channels of a place multiplied by its own number (NormFace's layer; not from BVLC Caffe).

Source: happynear/caffe-windows, field ``channel_scale_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.loss import shaped_like


class _Saved(NamedTuple):
    x: Value
    factors: Value
    aligned: str
    """The factors as (N, 1, H, W)."""


@register
@dataclass(frozen=True)
class ChannelScale(Layer[_Saved]):
    """Bottoms: x (N, C, ...) and one factor for each place, N and the sizes behind C in any shape. Top: of
    x's shape.

    Without ``do_forward`` the top is x; without ``do_backward_feature`` the gradient of x is that of the top,
    and without ``do_backward_scale`` that of the factors is 0. ``global_scale`` is refused.
    """

    type = "ChannelScale"
    origin = "happynear"
    bottoms = exactly(2)

    forward: bool = True
    to_feature: bool = True
    to_scale: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ChannelScale:
        p = param.channel_scale_param
        if p.global_scale:
            raise UnsupportedError("channel_scale_param: global_scale is not implemented")
        return cls(p.do_forward, p.do_backward_feature, p.do_backward_scale)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, factors = bottoms
        if len(x) < 2 or factors[:1] != x[:1] or prod(factors) != x[0] * prod(x[2:]):
            raise ShapeError(f"bottom[1] must hold one number for each place of {x}, got shape {factors}")
        return (x,)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, factors = bottoms
        aligned = shaped_like(g, factors, x, 1)
        top = g.op("Mul", x.name, aligned) if self.forward else x.name
        return Emitted((top,), _Saved(x, factors, aligned))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None:
            return Gradients((None, None))
        dx = g.op("Mul", dy, saved.aligned) if self.to_feature and needed.bottoms[0] else dy
        d_factors = None
        if self.to_scale and needed.bottoms[1]:
            total = g.op("ReduceSum", g.op("Mul", dy, saved.x.name), g.ints([1]))
            dims = (saved.x.dims[0], 1, *saved.x.dims[2:])
            d_factors = shaped_like(g, Value(total, dims), saved.factors)
        return Gradients((dx if needed.bottoms[0] else None, d_factors))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, factors = bottoms
        return Referenced((x * factors.reshape(len(x), 1, *x.shape[2:]) if self.forward else x,))

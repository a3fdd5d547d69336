"""SpatialSoftmax: shares of the places of a picture (a layer of guided policy search; not from BVLC Caffe).

Source: zobot/caffe, field ``spatial_softmax_param``; in older versions a Softmax whose ``softmax_param`` has
a ``dimension``. "End-to-End Training of Deep Visuomotor Policies" uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Referenced, Shapes, register
from vggrepro.layers.softmax import emit_softmax_gradient


@register
@dataclass(frozen=True)
class SpatialSoftmax(Layer[str]):
    """Bottom and top (N, C, H, W): the softmax of ``x / temperature`` over height and width, or, of a Softmax
    with ``dimension: "all"``, over the channels too."""

    type = "SpatialSoftmax"
    origin = "guided policy search"
    in_place = True

    temperature: float = 1.0
    over_channels: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SpatialSoftmax:
        older = param.type == "Softmax"
        p = param.softmax_param if older else param.spatial_softmax_param
        if p.dimension not in ("spatial", "all")[: 1 + older]:
            raise NetError(f"{param.type}: unknown dimension {p.dimension!r}")
        if p.temperature <= 0:
            raise NetError(f"{param.type}: temperature must be positive, got {p.temperature:g}")
        return cls(p.temperature, p.dimension == "all")

    @property
    def _axes(self) -> tuple[int, ...]:
        return (1, 2, 3) if self.over_channels else (2, 3)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) != 4:
            raise ShapeError(f"SpatialSoftmax: the bottom must be (N, C, H, W), got {tuple(bottoms[0])}")
        return (bottoms[0],)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str]:
        (x,) = bottoms
        rows = g.op("Reshape", x.name, g.ints([0, -1] if self.over_channels else [0, 0, -1]))
        shares = g.op("Softmax", g.op("Div", rows, g.const(self.temperature)), axis=-1)
        y = g.op("Reshape", shares, g.op("Shape", x.name))
        return Emitted((y,), saved=y)

    def grad(self, g: GraphBuilder, saved: str, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((emit_softmax_gradient(g, saved, dy, self._axes, self.temperature),))

    def reread(self, saved: str, bottoms: Sequence[str], tops: Sequence[str]) -> str:
        return tops[0]

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0] / self.temperature
        powers = np.exp(x - x.max(self._axes, keepdims=True))
        return Referenced((powers / powers.sum(self._axes, keepdims=True),))

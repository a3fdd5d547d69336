"""PReLU: ReLU whose slope for negative x is learned (Caffe's PReLU layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.reduce import reduced


@dataclass(frozen=True)
class _Saved:
    x: Value
    slope: str


def _default_filler() -> Any:
    return FillerParameter(type="constant", value=0.25)


@register
@dataclass(frozen=True)
class PReLU(Layer[_Saved]):
    """One slope for each channel (axis 1), or a single one of shape () if ``channel_shared``."""

    type = "PReLU"
    in_place = True

    channel_shared: bool = False
    filler: Any = field(default_factory=_default_filler)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PReLU:
        p = param.prelu_param
        return cls(p.channel_shared, p.filler if p.HasField("filler") else _default_filler())

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        self._channels(bottoms[0])
        return (bottoms[0],)

    @staticmethod
    def _channels(bottom: Shape) -> int:
        if len(bottom) < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2. (got shape {bottom})")
        if len(bottom) > 4:
            raise ShapeError(f"Cannot use legacy accessors on Blobs with > 4 axes. (got shape {bottom})")
        return bottom[1]

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        channels = self._channels(bottoms[0])
        return (ParamDef(() if self.channel_shared else (channels,), self.filler),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, slope = bottoms[0], params[0].name
        if not self.channel_shared and x.rank > 2:
            slope = g.op("Unsqueeze", slope, g.ints(list(range(1, x.rank - 1))))  # (C,) -> (C, 1, 1)
        return Emitted((g.op("PRelu", x.name, slope),), saved=_Saved(x, slope))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """At 0 the slope is the learned one, not 1."""
        dy, x = d_tops[0], saved.x
        dx = d_slope = None
        if dy is not None and needed.bottoms[0]:
            positive = g.op("Greater", x.name, g.const(0))
            dx = g.op("Where", positive, dy, g.op("Mul", dy, saved.slope))
        if dy is not None and needed.params[0]:
            axes = [axis for axis in range(x.rank) if self.channel_shared or axis != 1]
            product = g.op("Mul", dy, g.op("Min", x.name, g.const(0)))
            d_slope = reduced(g, "ReduceSum", product, x.rank, axes, keepdims=0)
        return Gradients((dx,), (d_slope,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, slope = bottoms[0], params[0]
        shape = (1,) * x.ndim if self.channel_shared else (1, -1) + (1,) * (x.ndim - 2)
        return Referenced((np.maximum(x, 0) + slope.reshape(shape) * np.minimum(x, 0),))

"""MVN: mean and variance of each channel, or of each picture, brought to 0 and 1 (Caffe's MVN layer).

DEVIATION: run in place, Caffe's backward reads the top's gradient after it has overwritten it. Here the
gradient is the one that Caffe computes out of place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
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


class _Saved(NamedTuple):
    x: Value
    y: str
    divisor: str | None
    """None without ``normalize_variance``."""


@register
@dataclass(frozen=True)
class MVN(Layer[_Saved]):
    """y = (x - mean) / (deviation + eps). Bottom of up to four axes, top (N, C, H, W)."""

    type = "MVN"
    in_place = True

    normalize_variance: bool = True
    across_channels: bool = False
    eps: float = 1e-9

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MVN:
        p = param.mvn_param
        return cls(p.normalize_variance, p.across_channels, p.eps)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        """Always four axes: those that the bottom lacks are 1."""
        (shape,) = bottoms
        if len(shape) > 4:
            raise ShapeError(
                f"Check failed: num_axes() <= 4 ({len(shape)} vs. 4)"
                " Cannot use legacy accessors on Blobs with > 4 axes."
            )
        return ((*shape, *[1] * (4 - len(shape))),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        four = x.name
        if x.rank < 4:
            four = g.op("Reshape", x.name, g.ints([0] * x.rank + [1] * (4 - x.rank)))
        y, divisor = g.op("Sub", four, self._mean(g, four)), None
        if self.normalize_variance:
            deviation = g.op("Sqrt", self._mean(g, g.op("Mul", y, y)))
            divisor = g.op("Add", deviation, g.const(self.eps))
            y = g.op("Div", y, divisor)
        return Emitted((y,), saved=_Saved(x, y, divisor))

    def _mean(self, g: GraphBuilder, x: str) -> str:
        return g.op("ReduceMean", x, g.ints(self._axes))

    @property
    def _axes(self) -> tuple[int, ...]:
        return (1, 2, 3) if self.across_channels else (2, 3)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """(dy - mean(dy) - y * mean(y * dy)) / (deviation + eps), or dy - mean(dy).

        Caffe leaves out that eps makes the deviation of y less than 1: exact for eps = 0.
        """
        x, y, divisor = saved
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        dx = g.op("Sub", dy, self._mean(g, dy))
        if divisor is not None:
            along = g.op("Mul", y, self._mean(g, g.op("Mul", y, dy)))
            dx = g.op("Div", g.op("Sub", dx, along), divisor)
        if x.rank < 4:
            dx = g.op("Reshape", dx, g.ints(x.shape))
        return Gradients((dx,))

    def reread(self, saved: _Saved, bottoms: Sequence[str], tops: Sequence[str]) -> _Saved:
        return saved if bottoms[0] == tops[0] else saved._replace(y=tops[0])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        four = x.reshape(self.out_shapes([x.shape])[0])
        y = four - four.mean(self._axes, keepdims=True)
        if self.normalize_variance:
            y = y / (np.sqrt((y**2).mean(self._axes, keepdims=True)) + self.eps)
        return Referenced((y,))

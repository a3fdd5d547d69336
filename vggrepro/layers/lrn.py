"""LRN: local response normalisation (Caffe's LRN layer; section 2.1 of the paper tries it in A-LRN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from vggrepro.layers.rules.neuron import affine


class _Saved(NamedTuple):
    x: Value
    y: str
    scale: str
    """k + alpha * A(x^2)."""
    power: str
    """scale^-beta."""


@register
@dataclass(frozen=True)
class LRN(Layer[_Saved]):
    """y = x / (k + alpha * A(x^2))^beta, bottom and top (N, C, H, W).

    A averages over a neighbourhood: ``local_size`` channels, or a square of that side in the same
    channel, where what lies outside counts as 0. Within a channel Caffe takes 1 for k, whatever k says.

    Across channels Caffe overwrites a bottom before it has been read, so that is refused in place.
    DEVIATION: within a channel and in place, Caffe's backward takes the top for the bottom; here the
    gradient is the one that it computes out of place.
    """

    type = "LRN"

    local_size: int = 5
    alpha: float = 1.0
    beta: float = 0.75
    k: float = 1.0
    within_channel: bool = False

    @property
    def in_place(self) -> bool:
        return self.within_channel

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LRN:
        p = param.lrn_param
        if p.local_size % 2 != 1:
            raise NetError(
                f"Check failed: size_ % 2 == 1 ({p.local_size % 2} vs. 1)"
                f" LRN only supports odd values for local_size, got {p.local_size}"
            )
        within = p.norm_region == p.WITHIN_CHANNEL
        return cls(p.local_size, p.alpha, p.beta, 1.0 if within else p.k, within)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) != 4:
            raise ShapeError(
                f"Check failed: 4 == bottom[0]->num_axes() (4 vs. {len(shape)})"
                " Input must have 4 axes, corresponding to (num, channels, height, width)"
            )
        return (shape,)

    def reach(self, bottom: Shape) -> Reach | None:
        side = self.local_size if self.within_channel else 1
        return Reach((side, side), (1, 1))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        scale = self._spread(g, x, g.op("Mul", x.name, x.name), self.alpha, self.k)
        power = self._power(g, scale)
        y = g.op("Mul", x.name, power)
        return Emitted((y,), saved=_Saved(x, y, scale, power))

    def _spread(self, g: GraphBuilder, x: Value, values: str, factor: float, shift: float = 0) -> str:
        """``factor * A(values) + shift``. A is its own transpose, so backward uses it too.

        Over channels it is a product with a band matrix, as a 1x1 convolution: on two CPU cores 45 ms for
        (8, 64, 224, 224), where AveragePool took 124 and ONNX Runtime's whole LRN 485.
        """
        reach = (self.local_size - 1) // 2
        if self.within_channel:
            side, pads = [self.local_size] * 2, [reach] * 4
            mean = g.op("AveragePool", values, kernel_shape=side, pads=pads, count_include_pad=1)
            return affine(g, mean, factor, shift)
        (channels,) = Value(x.name, x.dims[1:2]).shape
        distance = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
        band = (distance <= reach) * (factor / self.local_size)
        weight, bias = g.const(band[:, :, None, None]), g.const(np.full(channels, shift))
        return g.op("Conv", values, weight, bias, kernel_shape=[1, 1])

    def _power(self, g: GraphBuilder, scale: str) -> str:
        """scale^-beta. For 0.75, everybody's choice, two roots take less than half the time of Pow."""
        if self.beta != 0.75:
            return g.op("Pow", scale, g.const(-self.beta))
        root = g.op("Sqrt", g.op("Reciprocal", scale))
        return g.op("Mul", root, g.op("Sqrt", root))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """dy * scale^-beta - 2 alpha beta x * A(dy * y / scale)."""
        x, y, scale, power = saved
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        ratio = g.op("Div", g.op("Mul", dy, y), scale)
        through = g.op("Mul", x.name, self._spread(g, x, ratio, 2 * self.alpha * self.beta))
        return Gradients((g.op("Sub", g.op("Mul", dy, power), through),))

    def reread(self, saved: _Saved, bottoms: Sequence[str], tops: Sequence[str]) -> _Saved:
        """Within a channel Caffe composes the layer of others, with tops of their own."""
        return saved if self.within_channel else saved._replace(y=tops[0])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        sums = x**2
        for axis in (2, 3) if self.within_channel else (1,):
            sums = _neighbours(sums, axis, (self.local_size - 1) // 2)
        count = self.local_size**2 if self.within_channel else self.local_size
        return Referenced((x * (self.k + self.alpha / count * sums) ** -self.beta,))


def _neighbours(x: Array, axis: int, reach: int) -> Array:
    """For each element the sum of those up to ``reach`` places before and behind it along an axis."""
    sums = np.zeros_like(x)
    size = x.shape[axis]
    target, source = np.moveaxis(sums, axis, 0), np.moveaxis(x, axis, 0)
    for shift in range(-min(reach, size - 1), min(reach, size - 1) + 1):
        target[max(-shift, 0) : size - max(shift, 0)] += source[max(shift, 0) : size - max(-shift, 0)]
    return sums

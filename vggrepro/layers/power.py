"""Power: ``(shift + scale * x) ** power`` (Caffe's Power layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import BottomAndTop, Neuron, affine, filled_like, times


@register
@dataclass(frozen=True)
class Power(Neuron):
    """Not a number where a negative base meets a power that is not whole, as in Caffe."""

    type = "Power"

    power: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Power:
        p = param.power_param
        return cls(power=p.power, scale=p.scale, shift=p.shift)

    @property
    def steep(self) -> bool:
        """As a root is at 0, and a pole."""
        return self.power < 1 and self.diff_scale != 0

    @property
    def diff_scale(self) -> float:
        """Where it is 0 the top does not depend on the bottom at all, not even on one that is infinite."""
        return self.power * self.scale

    @property
    def constant(self) -> float:
        """The top's value where ``diff_scale`` is 0."""
        with np.errstate(all="ignore"):
            return 1.0 if self.power == 0 else float(np.power(np.float64(self.shift), self.power))

    def forward(self, g: GraphBuilder, x: str) -> str:
        if self.diff_scale == 0:
            return filled_like(g, x, self.constant)
        base = affine(g, x, self.scale, self.shift)
        return base if self.power == 1 else g.op("Pow", base, g.const(self.power))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """Caffe's four forms of ``diff_scale * (shift + scale * x) ** (power - 1)``.

        But for powers 1 and 2 they divide the top by the base, so a base of 0 gives 0 / 0, as in Caffe."""
        if self.diff_scale == 0:
            return filled_like(g, x, 0)
        if self.power == 1:
            return times(g, dy, self.diff_scale)
        if self.power == 2:
            slope = affine(g, x, self.diff_scale * self.scale, self.diff_scale * self.shift)
        elif self.shift == 0:
            slope = times(g, g.op("Div", y, x), self.power)
        else:
            base = affine(g, x, self.scale, self.shift)
            slope = times(g, g.op("Div", y, base), self.diff_scale)
        return g.op("Mul", dy, slope)

    def reread(self, saved: BottomAndTop, bottoms: Sequence[str], tops: Sequence[str]) -> BottomAndTop:
        return saved if bottoms[0] == tops[0] else BottomAndTop(bottoms[0], tops[0])

    def exact(self, x: Array) -> Array:
        if self.diff_scale == 0:
            return np.full_like(x, self.constant)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.power(self.shift + self.scale * x, self.power)

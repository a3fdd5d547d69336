"""WingLoss: a logarithm of small differences, and large ones as they are (arcface-caffe's loss of landmarks;
not from BVLC Caffe).

Source: xialuxi/arcface-caffe, field ``wing_loss_param``. "Wing Loss for Robust Facial Landmark Localisation
with Convolutional Neural Networks", equation 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.difference_loss import DifferenceLoss


@register
@dataclass(frozen=True)
class WingLoss(DifferenceLoss):
    """The sum over N of ``w log(1 + |d| / epsilon)`` of each difference d below w, and of ``|d| - w + w log(1
    + w / epsilon)`` of others. At a difference of 0 the slope is ``-w / epsilon``, as in the fork."""

    type = "WingLoss"
    origin = "arcface-caffe"

    w: float
    epsilon: float = 2.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> WingLoss:
        p = param.wing_loss_param
        if not p.HasField("w"):
            raise UnsupportedError("wing_loss_param: w must be given: another fork calls it omega")
        if p.w <= 0 or p.epsilon <= 0:
            raise NetError(f"wing_loss_param: w and epsilon must be above 0, got {p.w:g} and {p.epsilon:g}")
        return cls(p.w, p.epsilon)

    @property
    def _shift(self) -> float:
        return self.w * (1 - log(1 + self.w / self.epsilon))

    def losses(self, g: GraphBuilder, size: str) -> str:
        ratio = g.op("Add", g.op("Mul", size, g.const(1 / self.epsilon)), g.const(1))
        near = g.op("Mul", g.op("Log", ratio), g.const(self.w))
        return g.op(
            "Where", g.op("Less", size, g.const(self.w)), near, g.op("Sub", size, g.const(self._shift))
        )

    def slope(self, g: GraphBuilder, difference: str) -> str:
        size = g.op("Abs", difference)
        steep = g.op("Div", g.const(self.w), g.op("Add", size, g.const(self.epsilon)))
        slope = g.op("Where", g.op("Less", size, g.const(self.w)), steep, g.const(1))
        return g.op("Where", g.op("Greater", difference, g.const(0)), slope, g.op("Neg", slope))

    def exact(self, size: Array) -> Array:
        return np.where(size < self.w, self.w * np.log1p(size / self.epsilon), size - self._shift)

"""HuberLoss: quadratic near 0, linear beyond, as a mean over all elements (a fork's loss; not from BVLC
Caffe).

Source: a public ``huber_loss_layer.cpp`` with the field ``huber_loss_param``. Another fork's layer of this
name has no field, and other rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.difference_loss import DifferenceLoss


@register
@dataclass(frozen=True)
class HuberLoss(DifferenceLoss):
    """The mean of ``d^2 / 2`` of differences below delta, and of ``delta |d| - delta^2 / 2`` of others."""

    type = "HuberLoss"
    origin = "Huber fork"
    by_element = True

    delta: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HuberLoss:
        p = param.huber_loss_param
        if not p.HasField("delta"):
            raise UnsupportedError("HuberLoss without delta in huber_loss_param: forks differ in what it is")
        if p.delta <= 0:
            raise NetError("delta of huber loss need to be greater than 0.")
        return cls(p.delta)

    def losses(self, g: GraphBuilder, size: str) -> str:
        near = g.op("Mul", g.op("Mul", size, size), g.const(0.5))
        far = g.op("Sub", g.op("Mul", size, g.const(self.delta)), g.const(self.delta**2 / 2))
        return g.op("Where", g.op("Less", size, g.const(self.delta)), near, far)

    def slope(self, g: GraphBuilder, difference: str) -> str:
        return g.op("Clip", difference, g.const(-self.delta), g.const(self.delta))

    def exact(self, size: Array) -> Array:
        return np.where(size < self.delta, size**2 / 2, self.delta * size - self.delta**2 / 2)

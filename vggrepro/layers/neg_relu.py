"""NegReLU, MinReLU: ``min(x, 0) + slope * max(x, 0)`` (forks' layers; not from BVLC Caffe).

Sources: lmb-freiburg/flownet2, field ``relu_param``; ALISCIFP/caffe, field ``minrelu_param``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, affine, indicator, times


@register
@dataclass(frozen=True)
class NegReLU(Neuron):
    """The gradient at 0 is multiplied by ``negative_slope``."""

    type = "NegReLU"
    origin = "FlowNet"

    negative_slope: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> NegReLU:
        return cls(param.relu_param.negative_slope)

    def forward(self, g: GraphBuilder, x: str) -> str:
        below = g.op("Min", x, g.const(0))
        if self.negative_slope == 0:
            return below
        return g.op("Add", below, times(g, g.op("Relu", x), self.negative_slope))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        slope = affine(
            g, indicator(g, g.op("Less", x, g.const(0))), 1 - self.negative_slope, self.negative_slope
        )
        return g.op("Mul", dy, slope)

    def exact(self, x: Array) -> Array:
        return np.where(x < 0, x, self.negative_slope * x)


@register
@dataclass(frozen=True)
class MinReLU(NegReLU):
    """NegReLU whose slope is called ``positive_slope``."""

    type = "MinReLU"
    origin = "ALISCIFP"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MinReLU:
        return cls(param.minrelu_param.positive_slope)

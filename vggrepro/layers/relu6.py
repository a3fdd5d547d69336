"""ReLU6: ReLU that ends at 6 (the ReLU6 layer of MobileNetV2 forks; not from BVLC Caffe).

``min(max(x, 0) + negative_slope * min(x, 0), 6)``. Source: the layer that chinakook, RuiminChen and
eric612 ship with their MobileNets, and the field ``relu6_param``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, affine, indicator

CEILING = 6.0


@register
@dataclass(frozen=True)
class ReLU6(Neuron):
    type = "ReLU6"
    origin = "MobileNetV2 forks"

    negative_slope: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ReLU6:
        return cls(negative_slope=param.relu6_param.negative_slope)

    def forward(self, g: GraphBuilder, x: str) -> str:
        if self.negative_slope == 0:
            return g.op("Clip", x, g.const(0), g.const(CEILING))
        return g.op("Min", g.op("LeakyRelu", x, alpha=self.negative_slope), g.const(CEILING))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """The fork looks at the bottom: slope 1 between 0 and 6, ``negative_slope`` up to 0, 0 from 6."""
        slope = indicator(g, g.op("Greater", x, g.const(0)))
        if self.negative_slope != 0:
            slope = affine(g, slope, 1 - self.negative_slope, self.negative_slope)
        below = indicator(g, g.op("Less", x, g.const(CEILING)))
        return g.op("Mul", g.op("Mul", dy, slope), below)

    def exact(self, x: Array) -> Array:
        return np.minimum(np.where(x > 0, x, self.negative_slope * x), CEILING)

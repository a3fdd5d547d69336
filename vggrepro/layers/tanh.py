"""TanH: the hyperbolic tangent (Caffe's TanH layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron


@register
@dataclass(frozen=True)
class TanH(Neuron):
    """``tanh_param.engine`` chooses between Caffe's kernels, not between results."""

    type = "TanH"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> TanH:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Tanh", x)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        return g.op("Mul", dy, g.op("Sub", g.const(1), g.op("Mul", y, y)))

    def exact(self, x: Array) -> Array:
        return np.tanh(x)

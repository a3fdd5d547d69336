"""ELU: ``x`` for positive x, ``alpha * (exp(x) - 1)`` for others (Caffe's ELU layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron


@register
@dataclass(frozen=True)
class ELU(Neuron):
    type = "ELU"

    alpha: float = 1.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ELU:
        return cls(alpha=param.elu_param.alpha)

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Elu", x, alpha=self.alpha)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """For x <= 0 the slope is ``alpha * exp(x)``, which is ``alpha + y``."""
        scaled = g.op("Mul", dy, g.op("Add", y, g.const(self.alpha)))
        return g.op("Where", g.op("Greater", x, g.const(0)), dy, scaled)

    def exact(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

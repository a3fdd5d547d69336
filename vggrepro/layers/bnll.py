"""BNLL: binomial normal log likelihood, ``log(1 + exp(x))`` (Caffe's BNLL layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, logistic


@register
@dataclass(frozen=True)
class BNLL(Neuron):
    type = "BNLL"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> BNLL:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        """Softplus is ``x + log(1 + exp(-x))`` for positive x, as in Caffe, so it cannot overflow."""
        return g.op("Softplus", x)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """``exp(x) / (exp(x) + 1)``. Caffe clamps x at 50, where float32 has long reached 1."""
        return g.op("Mul", dy, logistic(g, x))

    def exact(self, x: Array) -> Array:
        return np.logaddexp(0.0, x)

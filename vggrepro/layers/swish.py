"""Swish: ``x * sigmoid(beta * x)`` (Caffe's Swish layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import BottomAndTop, Neuron, logistic, times


@register
@dataclass(frozen=True)
class Swish(Neuron):
    type = "Swish"

    beta: float = 1.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Swish:
        return cls(beta=param.swish_param.beta)

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Mul", x, self._gate(g, x))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """``beta * y + sigmoid * (1 - beta * y)``. The gate's nodes are the forward pass's own once the
        runtime has merged equal ones."""
        scaled = times(g, y, self.beta)
        rest = g.op("Mul", self._gate(g, x), g.op("Sub", g.const(1), scaled))
        return g.op("Mul", dy, g.op("Add", scaled, rest))

    def _gate(self, g: GraphBuilder, x: str) -> str:
        return logistic(g, times(g, x, self.beta))

    def reread(self, saved: BottomAndTop, bottoms: Sequence[str], tops: Sequence[str]) -> BottomAndTop:
        """Caffe keeps the gate, which is made of the bottom here, and reads the top again."""
        return saved._replace(top=tops[0])

    def exact(self, x: Array) -> Array:
        return x * (0.5 * np.tanh(0.5 * self.beta * x) + 0.5)

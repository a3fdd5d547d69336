"""Mish: ``x * tanh(log(1 + exp(x)))`` (the layer of YOLO v4 forks; not from BVLC Caffe).

Source: troyliu0105/caffe. "Mish: A Self Regularized Non-Monotonic Activation Function".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, logistic


@register
@dataclass(frozen=True)
class Mish(Neuron):
    type = "Mish"
    origin = "YOLO forks"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Mish:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Mul", x, self._gate(g, x))

    def _gate(self, g: GraphBuilder, x: str) -> str:
        return g.op("Tanh", g.op("Softplus", x))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """``t + x * (1 - t^2) * sigmoid(x)`` with the gate t."""
        gate = self._gate(g, x)
        rest = g.op("Sub", g.const(1), g.op("Mul", gate, gate))
        slope = g.op("Mul", g.op("Mul", x, rest), logistic(g, x))
        return g.op("Mul", dy, g.op("Add", gate, slope))

    def exact(self, x: Array) -> Array:
        return x * np.tanh(np.logaddexp(0, x))

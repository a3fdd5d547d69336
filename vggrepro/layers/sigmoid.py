"""Sigmoid: ``1 / (1 + exp(-x))`` (Caffe's Sigmoid layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, logistic


@register
@dataclass(frozen=True)
class Sigmoid(Neuron):
    """``sigmoid_param.engine`` chooses between Caffe's kernels, not between results."""

    type = "Sigmoid"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Sigmoid:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return logistic(g, x)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        return g.op("Mul", g.op("Mul", dy, y), g.op("Sub", g.const(1), y))

    def exact(self, x: Array) -> Array:
        """The form that Caffe 1.0 uses."""
        return 0.5 * np.tanh(0.5 * x) + 0.5

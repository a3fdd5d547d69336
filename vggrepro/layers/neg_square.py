"""NegSquare: ``-x^2`` (LiteFlowNet's layer; not from BVLC Caffe).

Source: twhui/LiteFlowNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron


@register
@dataclass(frozen=True)
class NegSquare(Neuron):
    """DEVIATION: the fork's backward pass multiplies by what its gradient buffer happens to hold. Here the
    gradient is ``-2 x dy``.
    """

    type = "NegSquare"
    origin = "LiteFlowNet"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> NegSquare:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Neg", g.op("Mul", x, x))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        return g.op("Mul", g.op("Mul", x, g.const(-2)), dy)

    def exact(self, x: Array) -> Array:
        return -(x**2)

"""SignedSqrt: the square root of the size, with the sign (compact bilinear pooling's layer; not from BVLC
Caffe).

Source: gy20073/compact_bilinear_pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron

EPSILON = 0.03
"""What the fork adds to the root before it divides by it."""


@register
@dataclass(frozen=True)
class SignedSqrt(Neuron):
    """``y = sign(x) sqrt(|x|)``. The gradient is ``dy / (2 (|y| + 0.03))``, which stays finite at 0."""

    type = "SignedSqrt"
    origin = "Compact bilinear pooling"
    in_place = False
    steep = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SignedSqrt:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Mul", g.op("Sign", x), g.op("Sqrt", g.op("Abs", x)))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        divisor = g.op("Add", g.op("Abs", y), g.const(EPSILON))
        return g.op("Mul", g.op("Div", dy, divisor), g.const(0.5))

    def exact(self, x: Array) -> Array:
        return np.sign(x) * np.sqrt(np.abs(x))

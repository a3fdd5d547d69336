"""Softplus: ``log(exp(x) + 1)`` (a fork's layer; not from BVLC Caffe).

Source: a public ``softplus_layer.cpp`` without fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron


@register
@dataclass(frozen=True)
class Softplus(Neuron):
    """DEVIATION: beyond 88 the fork's float32 exponential is infinite, and so is its top; here it is x. The
    fork has no backward pass."""

    type = "Softplus"
    origin = "Softplus fork"
    has_gradient = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Softplus:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Softplus", x)

    def exact(self, x: Array) -> Array:
        return np.logaddexp(0, x)

"""Exp: ``base ** (shift + scale * x)`` (Caffe's Exp layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, log_of_base, times


@register
@dataclass(frozen=True)
class Exp(Neuron):
    type = "Exp"

    log_base: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Exp:
        p = param.exp_param
        return cls(log_base=log_of_base(p.base), scale=p.scale, shift=p.shift)

    @property
    def inner_scale(self) -> float:
        return self.log_base * self.scale

    def forward(self, g: GraphBuilder, x: str) -> str:
        """Caffe multiplies by ``base ** shift`` afterwards; it does not add the shift inside."""
        y = g.op("Exp", times(g, x, self.inner_scale))
        return times(g, y, float(np.exp(self.log_base * self.shift)))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        return times(g, g.op("Mul", dy, y), self.inner_scale)

    def exact(self, x: Array) -> Array:
        return np.exp(self.log_base * (self.shift + self.scale * x))

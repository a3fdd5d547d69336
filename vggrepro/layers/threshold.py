"""Threshold: 1 where ``x > threshold``, else 0 (Caffe's Threshold layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, indicator


@register
@dataclass(frozen=True)
class Threshold(Neuron):
    type = "Threshold"
    has_gradient = False
    steep = True

    threshold: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Threshold:
        return cls(threshold=param.threshold_param.threshold)

    def forward(self, g: GraphBuilder, x: str) -> str:
        return indicator(g, g.op("Greater", x, g.const(self.threshold)))

    def exact(self, x: Array) -> Array:
        return np.where(x > self.threshold, 1.0, 0.0)

"""Clip: x limited to ``[min, max]`` (Caffe's Clip layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, indicator


@register
@dataclass(frozen=True)
class Clip(Neuron):
    """Caffe does not ask that ``min <= max``; where it is not so, every element becomes ``min``."""

    type = "Clip"

    min: float
    max: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Clip:
        return cls(min=param.clip_param.min, max=param.clip_param.max)

    def forward(self, g: GraphBuilder, x: str) -> str:
        """Not ONNX's Clip, which gives ``max`` where ``min > max``."""
        return g.op("Max", g.op("Min", x, g.const(self.max)), g.const(self.min))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """The gradient passes between the limits and on them."""
        above = g.op("GreaterOrEqual", x, g.const(self.min))
        below = g.op("LessOrEqual", x, g.const(self.max))
        return g.op("Mul", dy, indicator(g, g.op("And", above, below)))

    def exact(self, x: Array) -> Array:
        return np.maximum(self.min, np.minimum(x, self.max))

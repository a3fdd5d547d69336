"""AbsVal: the absolute value (Caffe's AbsVal layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron


@register
@dataclass(frozen=True)
class AbsVal(Neuron):
    type = "AbsVal"
    in_place = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> AbsVal:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Abs", x)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """The slope at 0 is 0."""
        return g.op("Mul", dy, g.op("Sign", x))

    def exact(self, x: Array) -> Array:
        return np.abs(x)

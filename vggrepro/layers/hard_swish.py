"""HardSwish: ``x * min(max(x + 3, 0), 6) / 6`` (the layer of MobileNetV3 forks; not from BVLC Caffe).

Source: Zeitzmz/micronet-caffe. Section 5.2 of "Searching for MobileNetV3".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import BottomAndTop, Neuron, affine, times


@register
@dataclass(frozen=True)
class HardSwish(Neuron):
    type = "HardSwish"
    origin = "MobileNetV3 forks"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HardSwish:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        shifted = g.op("Clip", g.op("Add", x, g.const(3)), g.const(0), g.const(6))
        return times(g, g.op("Mul", x, shifted), 1 / 6)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """(2 x + 3) / 6 from -3 to 3; 0 below, 1 above."""
        slope = affine(g, x, 1 / 3, 0.5)
        slope = g.op("Where", g.op("Less", x, g.const(-3)), g.const(0), slope)
        slope = g.op("Where", g.op("Greater", x, g.const(3)), g.const(1), slope)
        return g.op("Mul", dy, slope)

    def reread(self, saved: BottomAndTop, bottoms: Sequence[str], tops: Sequence[str]) -> BottomAndTop:
        """In place the fork keeps a copy of the bottom."""
        return saved if bottoms[0] == tops[0] else super().reread(saved, bottoms, tops)

    def exact(self, x: Array) -> Array:
        return x * np.clip(x + 3, 0, 6) / 6

"""ReLU: ``max(x, 0) + negative_slope * min(x, 0)`` (Caffe's ReLU layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import BottomAndTop, Neuron, affine, indicator


@register
@dataclass(frozen=True)
class ReLU(Neuron):
    type = "ReLU"

    negative_slope: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ReLU:
        return cls(negative_slope=param.relu_param.negative_slope)

    def forward(self, g: GraphBuilder, x: str) -> str:
        if self.negative_slope == 0:
            return g.op("Relu", x)
        return g.op("LeakyRelu", x, alpha=self.negative_slope)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """The slope at 0 is ``negative_slope``, not 1.

        The top is positive where the bottom is, unless the slope is negative; reading the top lets the
        runtime fuse ReLU into the layer before it and drop the bottom. Caffe reads the bottom."""
        source = y if self.negative_slope >= 0 else x
        positive = indicator(g, g.op("Greater", source, g.const(0)))
        if self.negative_slope != 0:
            positive = affine(g, positive, 1 - self.negative_slope, self.negative_slope)
        return g.op("Mul", dy, positive)

    def reread(self, saved: BottomAndTop, bottoms: Sequence[str], tops: Sequence[str]) -> BottomAndTop:
        """Only in place is the bottom overwritten."""
        return BottomAndTop(bottoms[0], tops[0]) if bottoms[0] == tops[0] else saved

    def exact(self, x: Array) -> Array:
        if self.negative_slope == 0:
            return np.maximum(x, 0)
        return np.where(x > 0, x, self.negative_slope * x)

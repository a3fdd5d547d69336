"""Atan: the arc tangent (Synopsys' layer; not from BVLC Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron

FAR = 1e15
"""From here on the arc tangent of a float is pi / 2, and squares do not overflow yet."""


@register
@dataclass(frozen=True)
class Atan(Neuron):
    """ONNX Runtime has no CUDA kernel for ONNX's Atan: three times ``atan(x) = 2 atan(x / (1 + sqrt(1 +
    x^2)))`` brings every place below 0.2, where five terms of the series are exact to a float.

    Synopsys' layer has no gradient; here it is the derivative's.
    """

    type = "Atan"
    origin = "Synopsys"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Atan:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        t = g.op("Clip", x, g.const(-FAR), g.const(FAR))
        for _ in range(3):
            length = g.op("Sqrt", g.op("Add", g.op("Mul", t, t), g.const(1)))
            t = g.op("Div", t, g.op("Add", length, g.const(1)))
        square = g.op("Mul", t, t)
        series = g.const(1 / 9)
        for term in (-1 / 7, 1 / 5, -1 / 3, 1.0):
            series = g.op("Add", g.op("Mul", series, square), g.const(term))
        return g.op("Mul", g.op("Mul", series, t), g.const(8))

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        return g.op("Div", dy, g.op("Add", g.op("Mul", x, x), g.const(1)))

    def exact(self, x: Array) -> Array:
        return np.arctan(x)

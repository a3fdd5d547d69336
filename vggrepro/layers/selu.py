"""SeLU, SeLu: ``lambda * x`` for positive x, ``lambda * alpha * (exp(x) - 1)`` for others (layers of forks;
not from BVLC Caffe).

Sources: synopsys-caffe for SeLU; HolmesShuan's SNNs and fireae/caffe_latte for SeLu; field ``selu_param``.
"Self-Normalizing Neural Networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, times


@register
@dataclass(frozen=True)
class SeLU(Neuron):
    """The top has the bottom's shape; the defaults of ``lambda`` and ``alpha`` are those of the paper."""

    type = "SeLU"
    origin = "Synopsys"

    scale: float
    alpha: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SeLU:
        p = param.selu_param
        return cls(getattr(p, "lambda"), p.alpha)

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Selu", x, alpha=self.alpha, gamma=self.scale)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        """For x <= 0 the slope is ``lambda * alpha * exp(x)``, of the bottom as it is by then."""
        slope = times(g, g.op("Exp", g.op("Min", x, g.const(0))), self.alpha)
        slope = g.op("Where", g.op("Greater", x, g.const(0)), g.const(1), slope)
        return times(g, g.op("Mul", dy, slope), self.scale)

    def exact(self, x: Array) -> Array:
        return self.scale * np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


@register
class SeLu(SeLU):
    """The same layer under the name that its author gave it."""

    type = "SeLu"
    origin = "SNN forks"

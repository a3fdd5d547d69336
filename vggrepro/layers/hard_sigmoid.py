"""HardSigmoid: ``min(max(alpha * x + beta, 0), 1)`` (a fork's layer; not from BVLC Caffe).

Source: inisis/caffe, field ``hardsigmoid_param``. The MobileNetV3 forks have a layer of this name without
alpha and beta, which are 1/6 and 1/2 there; without the field the two cannot be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, affine


@register
@dataclass(frozen=True)
class HardSigmoid(Neuron):
    """The fork has no backward pass."""

    type = "HardSigmoid"
    origin = "inisis"
    has_gradient = False

    alpha: float = 0.2
    beta: float = 0.5

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HardSigmoid:
        p = param.hardsigmoid_param
        if not (p.HasField("alpha") or p.HasField("beta")):
            raise UnsupportedError(
                "HardSigmoid without hardsigmoid_param: forks differ in alpha (0.2, 1/6); alpha and beta"
                " tell, or the fork: inisis"
            )
        return cls(p.alpha, p.beta)

    def forward(self, g: GraphBuilder, x: str) -> str:
        return g.op("Clip", affine(g, x, self.alpha, self.beta), g.const(0), g.const(1))

    def exact(self, x: Array) -> Array:
        return np.clip(self.alpha * x + self.beta, 0, 1)

"""Log: the logarithm of ``shift + scale * x`` to a base (Caffe's Log layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import BottomAndTop, Neuron, affine, log_of_base, times


@register
@dataclass(frozen=True)
class Log(Neuron):
    type = "Log"
    steep = True

    log_base: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Log:
        p = param.log_param
        log_base = log_of_base(p.base)
        if log_base == 0:
            raise NetError(f"Inf result: 1/log(base) = 1/log({p.base}) = inf")
        return cls(log_base=log_base, scale=p.scale, shift=p.shift)

    def forward(self, g: GraphBuilder, x: str) -> str:
        return times(g, g.op("Log", affine(g, x, self.scale, self.shift)), 1 / self.log_base)

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        inner = affine(g, x, self.scale, self.shift)
        return times(g, g.op("Div", dy, inner), self.scale / self.log_base)

    def reread(self, saved: BottomAndTop, bottoms: Sequence[str], tops: Sequence[str]) -> BottomAndTop:
        return saved if bottoms[0] == tops[0] else BottomAndTop(bottoms[0], tops[0])

    def exact(self, x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(self.shift + self.scale * x) / self.log_base

"""ExpMax: powers whose largest along the channels is 1 (LiteFlowNet's layer; not from BVLC Caffe).

Source: twhui/LiteFlowNet, field ``expmax_param``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Reach, Referenced, Shapes, register


@register
@dataclass(frozen=True)
class ExpMax(Layer[str]):
    """Bottom and top (N, C, H, W): ``base ** (shift + scale * (x - m))`` with the largest value m of the
    channels at each place, and e as the base by default. The gradient takes m for a constant, as the fork
    does.

    DEVIATION: the fork finds m in the first item of a batch alone. Here every item has its own.
    """

    type = "ExpMax"
    origin = "LiteFlowNet"

    log_base: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ExpMax:
        p = param.expmax_param
        if p.base != -1 and p.base <= 0:
            raise NetError(f"base must be strictly positive, got {p.base:g}")
        return cls(1.0 if p.base == -1 else math.log(p.base), p.scale, p.shift)

    @property
    def _steepness(self) -> float:
        return self.log_base * self.scale

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) != 4:
            raise ShapeError(f"bottom[0] must have 4 axes, got shape {shape}")
        return (shape,)

    def reach(self, bottom: Shape) -> Reach | None:
        return Reach((1, 1), (1, 1))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str]:
        x = bottoms[0].name
        below = g.op("Sub", x, g.op("ReduceMax", x, g.ints([1]), keepdims=1))
        power = g.op("Exp", g.op("Mul", below, g.const(self._steepness)))
        top = g.op("Mul", power, g.const(math.exp(self.log_base * self.shift)))
        return Emitted((top,), top)

    def grad(self, g: GraphBuilder, saved: str, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((g.op("Mul", g.op("Mul", saved, d_tops[0]), g.const(self._steepness)),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        below = x - x.max(axis=1, keepdims=True)
        return Referenced((np.exp(self.log_base * (self.shift + self.scale * below)),))

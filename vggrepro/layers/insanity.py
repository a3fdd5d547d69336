"""Insanity: leaky ReLU whose slope is drawn at random (happynear's layer; not from BVLC Caffe).

Source: happynear/caffe-windows, field ``insanity_param``; randomised leaky ReLU in "Empirical Evaluation of
Rectified Activations in Convolutional Network".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    StateDef,
    register,
)
from vggrepro.layers.rules.bernoulli import Bernoulli
from vggrepro.layers.rules.draw_state import draw_state, emit_next_state, next_state


class _Saved(NamedTuple):
    positive: str
    divisors: str


@register
@dataclass(frozen=True)
class Insanity(Layer[_Saved]):
    """Bottom and top (N, C, ...): x where it is positive, else x / a, with a in TRAIN drawn for each element
    from ``lb`` to ``ub``, and in TEST ``(ub - lb) / (log(ub) - log(lb))``.

    DEVIATION: in TEST the gradient is that of the a in use, where the fork takes what it drew last in TRAIN.
    """

    type = "Insanity"
    origin = "happynear"
    in_place = True

    low: float
    high: float
    draws: Bernoulli | None = None
    """None in TEST."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Insanity:
        p = param.insanity_param
        if p.ub <= p.lb:
            raise NetError(f"upper bound must > lower bound. ({p.ub:g} vs. {p.lb:g})")
        if p.lb * p.ub == 0 or abs(p.lb) == abs(p.ub):
            raise NetError(
                f"lower & upper bound must not be 0, nor each other's negative: {p.lb:g}, {p.ub:g}"
            )
        return cls(p.lb, p.ub, Bernoulli.named(0.5, param.name) if phase == TRAIN else None)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2. (got shape {bottoms[0]})")
        return (bottoms[0],)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return () if self.draws is None else (draw_state(),)

    @property
    def _mean(self) -> float:
        return (self.high - self.low) / (log(abs(self.high)) - log(abs(self.low)))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        following: tuple[str, ...] = ()
        if self.draws is None:
            divisors = g.const(self._mean)
        else:
            shares = g.op("Reshape", self.draws.emit_shares(g, x, states[0].name), g.op("Shape", x.name))
            divisors = g.op("Add", g.op("Mul", shares, g.const(self.high - self.low)), g.const(self.low))
            following = (emit_next_state(g, states[0].name),)
        positive = g.op("Greater", x.name, g.const(0))
        top = g.op("Where", positive, x.name, g.op("Div", x.name, divisors))
        return Emitted((top,), _Saved(positive, divisors), next_states=following)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((g.op("Where", saved.positive, dy, g.op("Div", dy, saved.divisors)),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        if self.draws is None:
            return Referenced((np.where(x > 0, x, x / self._mean),))
        shares = self.draws.draw_shares(len(x), x.size // len(x), states[0]).reshape(x.shape)
        divisors = self.low + (self.high - self.low) * shares
        return Referenced((np.where(x > 0, x, x / divisors),), next_states=(next_state(states[0]),))

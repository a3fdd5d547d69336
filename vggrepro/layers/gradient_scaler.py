"""GradientScaler, GradientReversal: gradients turned round, for what shall not be learned (layers for domain
adaptation of two forks; not from BVLC Caffe).

Sources: ddtm/caffe's branch grl and its descendants debjeetmaj/caffe and Jiaolong/caffe for GradientScaler,
field ``gradient_scaler_param``; jkelling/caffe for GradientReversal. "Unsupervised Domain Adaptation by
Backpropagation", section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
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
from vggrepro.layers.rules.neuron import Neuron
from vggrepro.layers.rules.pass_schedule import PassSchedule

FIELDS = ("lower_bound", "upper_bound", "alpha", "max_iter")

PASSES = PassSchedule()
"""Of which only the counter is used: how the gradient grows is no power of it."""


@register
@dataclass(frozen=True)
class GradientReversal(Neuron):
    """Top: the bottom as it is. The gradient changes its sign."""

    type = "GradientReversal"
    origin = "jkelling"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> GradientReversal:
        return cls()

    def forward(self, g: GraphBuilder, x: str) -> str:
        return x

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        return g.op("Neg", dy)

    def exact(self, x: Array) -> Array:
        return x


@register
@dataclass(frozen=True)
class GradientScaler(Layer[str | None]):
    """Top: the bottom as it is. The gradient is multiplied by ``-c``, where in iteration n ``c = lower_bound
    + h (2 / (1 + exp(-alpha p)) - 1)``, with ``h = upper_bound - lower_bound`` and ``p = min(1, n /
    max_iter)``. In TEST c is 1, as it is where no solver counts.

    DEVIATION: the fork takes the solver's iteration for n. Here passes are counted: with ``iter_size`` there
    are several in an iteration, and the count begins anew when a training resumes.

    The defaults of the forks' fields are not known: all four must be given.
    """

    type = "GradientScaler"
    origin = "ddtm"
    in_place = True

    lower: float
    upper: float
    alpha: float
    most: float
    counts: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> GradientScaler:
        p = param.gradient_scaler_param
        if not all(map(p.HasField, FIELDS)):
            raise UnsupportedError(f"gradient_scaler_param: {', '.join(FIELDS)} must be given")
        if p.lower_bound > p.upper_bound or p.alpha < 0 or p.max_iter < 1:
            raise NetError(
                "gradient_scaler_param: lower_bound must be at most upper_bound, alpha at least 0, max_iter"
                f" at least 1, got {p.lower_bound:g}, {p.upper_bound:g}, {p.alpha:g}, {p.max_iter:g}"
            )
        return cls(p.lower_bound, p.upper_bound, p.alpha, p.max_iter, phase == TRAIN)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (bottoms[0],)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (PASSES.state_def(),) if self.counts else ()

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str | None]:
        x = bottoms[0].name
        if not self.counts:
            return Emitted((x,), None)
        return Emitted((x,), states[0].name, next_states=(PASSES.following(g, states[0].name),))

    def grad(
        self, g: GraphBuilder, saved: str | None, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        d_top = d_tops[0]
        if d_top is None or not needed.bottoms[0]:
            return Gradients((None,))
        if saved is None:
            return Gradients((g.op("Neg", d_top),))
        n = g.op("Cast", saved, to=FLOAT)
        progress = g.op("Min", g.op("Mul", n, g.const(1 / self.most)), g.const(1))
        half = g.op("Tanh", g.op("Mul", progress, g.const(self.alpha / 2)))  # 2 / (1 + exp(-z)) - 1
        factor = g.op("Sub", g.op("Mul", half, g.const(self.lower - self.upper)), g.const(self.lower))
        return Gradients((g.op("Mul", d_top, factor),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((bottoms[0],), next_states=(states[0] + 1,) if self.counts else ())

"""GuidedDropout: dropout of channels by how much a domain needs them (a fork's layer; not from BVLC Caffe).

Source: Cysu/dgd_person_reid. "Learning Deep Feature Representations with Domain Guided Dropout for Person
Re-identification", section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
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
    exactly,
    register,
)
from vggrepro.layers.rules.bernoulli import Bernoulli
from vggrepro.layers.rules.draw_state import draw_state, emit_next_state, next_state
from vggrepro.layers.rules.neuron import times


@register
@dataclass(frozen=True)
class GuidedDropout(Layer[str | None]):
    """Bottoms: x (N, C, ...) and the guidance (N, C); the top has the shape of x.

    ``type: "stochastic"``: in TRAIN a channel stays with probability ``r = sigmoid(sigmoid_scaler g)``, and
    what stays is multiplied by ``C / sum(r)`` of its item; in TEST the layer is the identity.
    ``type: "deterministic"``: a channel stays if its guidance is above ``guidance_threshold``, and what stays
    is multiplied by C over their number, in TEST too. The masks are drawn as Dropout's are.
    """

    type = "GuidedDropout"
    origin = "Domain guided dropout"
    bottoms = exactly(2)
    in_place = True
    blind_bottoms = frozenset({1})

    masks: Bernoulli | None = None
    """Of the stochastic type in TRAIN."""
    scaler: float = 1.0
    threshold: float | None = None
    """Of the deterministic type."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> GuidedDropout:
        p = param.guided_dropout_param
        field = {"stochastic": "sigmoid_scaler", "deterministic": "guidance_threshold"}.get(p.type)
        if field is None:
            raise NetError(
                f'guided_dropout_param: type must be "deterministic" or "stochastic", got {p.type!r}'
            )
        if not p.HasField(field):
            raise NetError(f'guided_dropout_param: expected {field} with type: "{p.type}"')
        if p.type == "deterministic":
            return cls(threshold=p.guidance_threshold)
        return cls(Bernoulli.named(0.5, param.name) if phase == TRAIN else None, p.sigmoid_scaler)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, guidance = bottoms
        if len(x) < 2 or guidance[:2] != x[:2] or math.prod(guidance[2:]) != 1:
            raise ShapeError(f"GuidedDropout: bottoms must be (N, C, ...) and (N, C), got {x} and {guidance}")
        return (x,)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        if self.masks is None:
            return ()
        return (draw_state(),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str | None]:
        x, guidance = bottoms
        flat = g.op("Flatten", guidance.name)  # (N, C)
        following: tuple[str, ...] = ()
        if self.masks is not None:
            stays = g.op("Sigmoid", times(g, flat, self.scaler))
            shares = self.masks.emit_shares(g, guidance, states[0].name)
            kept = g.op("Cast", g.op("LessOrEqual", shares, stays), to=FLOAT)
            number = g.op("ReduceSum", stays, g.ints([1]))  # (N, 1)
            following = (emit_next_state(g, states[0].name),)
        elif self.threshold is not None:
            kept = g.op("Cast", g.op("Greater", flat, g.const(self.threshold)), to=FLOAT)
            number = g.op("Max", g.op("ReduceSum", kept, g.ints([1])), g.const(1))
        else:
            return Emitted((x.name,), None)
        channels = Value(x.name, x.dims[1:2]).shape[0]
        factors = g.op("Mul", kept, g.op("Div", g.const(channels), number))
        if x.rank > 2:
            factors = g.op("Unsqueeze", factors, g.ints(range(2, x.rank)))
        return Emitted((g.op("Mul", x.name, factors),), factors, next_states=following)

    def grad(
        self, g: GraphBuilder, saved: str | None, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, None))
        return Gradients((dy if saved is None else g.op("Mul", dy, saved), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, guidance = bottoms[0], bottoms[1].reshape(bottoms[0].shape[:2])
        samples, channels = bottoms[0].shape[:2]
        news: tuple[Any, ...] = ()
        if self.masks is not None:
            stays = 1 / (1 + np.exp(-guidance * self.scaler))
            kept = self.masks.draw_shares(samples, channels, states[0]) <= stays
            number, news = stays.sum(1), (next_state(states[0]),)
        elif self.threshold is not None:
            kept = guidance > self.threshold
            number = np.maximum(kept.sum(1), 1)
        else:
            return Referenced((x,))
        factors = (kept * channels / number[:, None]).reshape(samples, channels, *[1] * (x.ndim - 2))
        return Referenced((x * factors,), next_states=news)

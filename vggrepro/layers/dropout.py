"""Dropout: in TRAIN each element is zeroed with probability ``dropout_ratio`` (Caffe's Dropout layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError
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
from vggrepro.layers.rules.neuron import indicator, times


@register
@dataclass(frozen=True)
class Dropout(Layer[str | None]):
    """What is kept in TRAIN is multiplied by ``1 / (1 - ratio)``; in TEST the layer is the identity.

    Forks add two fields. ``scale_train: false`` (caffe-fast-rcnn): TRAIN does not scale, TEST multiplies by
    ``1 - ratio``. ``sample_weights_test`` (caffe-segnet): TEST drops as TRAIN does.

    The state ``random`` is int64 (2,): a seed, which grows by one with each call, and the number of the
    batch's first sample, which stays. A caller that holds a part of a batch sets it to where that part
    begins, and gets the masks that the whole batch would have had there.
    """

    type = "Dropout"
    in_place = True

    masks: Bernoulli | None = None
    """None where nothing is dropped: in TEST, or with a ratio of 0."""
    factor: float = 1.0
    """What is kept, or all where nothing is dropped, is multiplied by this."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Dropout:
        p = cls.parameter(param)
        ratio = p.dropout_ratio
        drops = phase == TRAIN or p.sample_weights_test
        if ratio == 0:
            return cls()
        if not drops:
            return cls(factor=1.0 if p.scale_train else 1 - ratio)
        if not 0 < ratio < 1:
            # DEVIATION: a release build of Caffe lets a ratio of 1 pass, and every element becomes 0 * inf.
            raise NetError(f"dropout_ratio must be at least 0 and below 1, got {ratio}")
        return cls(Bernoulli.named(1 - ratio, param.name), 1 / (1 - ratio) if p.scale_train else 1.0)

    @classmethod
    def parameter(cls, param: Any) -> Any:
        """The field of a ``LayerParameter`` that the layer reads."""
        return param.dropout_param

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (bottoms[0],)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        if self.masks is None:
            return ()
        return (draw_state(),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str | None]:
        x = bottoms[0]
        if self.masks is None:
            if self.factor == 1:
                return Emitted((x.name,), None)
            factor = g.const(self.factor)
            return Emitted((g.op("Mul", x.name, factor),), factor)
        state = states[0].name
        factors = times(g, self._kept(g, self.masks, x, state), self.factor)
        following = emit_next_state(g, state)
        return Emitted((g.op("Mul", x.name, factors),), saved=factors, next_states=(following,))

    def _kept(self, g: GraphBuilder, masks: Bernoulli, x: Value, state: str) -> str:
        """1 for what is kept of ``x``, else 0, in a shape that is broadcast to that of ``x``."""
        shape = g.op("Shape", x.name) if None in x.dims else g.ints(x.shape)
        return g.op("Reshape", indicator(g, masks.emit(g, x, state)), shape)

    def grad(
        self, g: GraphBuilder, saved: str | None, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((dy if saved is None else g.op("Mul", dy, saved),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        if self.masks is None:
            return Referenced((x * self.factor,))
        mask = self._reference_kept(self.masks, x.shape, states[0])
        return Referenced((x * mask * self.factor,), next_states=(next_state(states[0]),))

    def _reference_kept(
        self, masks: Bernoulli, shape: Shape, state: npt.NDArray[Any]
    ) -> npt.NDArray[np.bool_]:
        samples = shape[0] if shape else 1
        return masks.draw(samples, math.prod(shape) // samples, state).reshape(shape)

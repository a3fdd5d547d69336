"""ContinuationIndicator: for each step of a sequence whether it goes on (a layer of CRNN forks; not from BVLC
Caffe).

Source: yalecyu/crnn.caffe and others, field ``continuation_indicator_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, exactly, register


@register
@dataclass(frozen=True)
class ContinuationIndicator(Layer[None]):
    """Top (``time_step``, ``batch_size``): 0 in the first step, 1 in the others, for the second bottom of
    LSTM."""

    type = "ContinuationIndicator"
    origin = "CRNN forks"
    bottoms = exactly(0)
    has_gradient = False

    time_step: int
    batch_size: int

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ContinuationIndicator:
        p = param.continuation_indicator_param
        if p.batch_size < 1:
            raise NetError("The batch size should be greater than 0.")
        if p.time_step < 1:
            raise NetError("The time step should be greater than 0.")
        return cls(p.time_step, p.batch_size)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return ((self.time_step, self.batch_size),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _top(self) -> Array:
        top = np.ones((self.time_step, self.batch_size))
        top[0] = 0
        return top

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        return Emitted((g.const(self._top()),), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((self._top(),))

"""ReLU: ``max(x, 0) + negative_slope * min(x, 0)`` (Caffe's ReLU layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    register,
)


@register
@dataclass(frozen=True)
class ReLU(Layer):
    type = "ReLU"
    in_place = True

    negative_slope: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ReLU:
        return cls(negative_slope=param.relu_param.negative_slope)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (bottoms[0],)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted:
        x = bottoms[0].name
        if self.negative_slope == 0:
            return Emitted((g.op("Relu", x),), saved=x)
        return Emitted((g.op("LeakyRelu", x, alpha=self.negative_slope),), saved=x)

    def grad(self, g: GraphBuilder, saved: Any, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Caffe: the slope at 0 is ``negative_slope``, not 1."""
        (dy,) = d_tops
        assert dy is not None
        positive = g.op("Cast", g.op("Greater", saved, g.const(0)), to=1)
        if self.negative_slope == 0:
            return Gradients((g.op("Mul", dy, positive),))
        slope = g.op("Add", g.op("Mul", positive, g.const(1 - self.negative_slope)), g.const(self.negative_slope))
        return Gradients((g.op("Mul", dy, slope),))

    def reference(self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]) -> Referenced:
        x = bottoms[0]
        return Referenced((np.maximum(x, 0) + self.negative_slope * np.minimum(x, 0),))

"""Softmax: ``exp(x)`` over its sum along one axis (Caffe's Softmax layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
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
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class Softmax(Layer[str]):
    """The largest element is subtracted first, as in Caffe, so no exponential overflows.
    ``softmax_param.engine`` chooses between Caffe's kernels, not between results."""

    type = "Softmax"
    in_place = True
    gives_posteriors = True

    axis: int = 1
    temperature: float = 1.0
    """Scores are divided by it first (a field of forks that distil nets)."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Softmax:
        p = param.softmax_param
        if p.dimension != "channel":
            raise UnsupportedError(f"softmax_param: dimension {p.dimension!r} is SpatialSoftmax's")
        return cls(axis=p.axis, temperature=p.temperature or 1.0)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        canonical_axis(self.axis, bottoms[0], "softmax_param")
        return (bottoms[0],)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str]:
        x = bottoms[0]
        axis = canonical_axis(self.axis, x.rank, "softmax_param")
        if self.temperature != 1:
            x = Value(g.op("Div", x.name, g.const(self.temperature)), x.dims)
        if all(d == 1 for d in x.dims[axis + 1 :]):
            y = g.op("Softmax", x.name, axis=axis)
        else:
            y = self._along_inner_axis(g, x.name, axis)
        return Emitted((y,), saved=y)

    @staticmethod
    def _along_inner_axis(g: GraphBuilder, x: str, axis: int) -> str:
        """ONNX Runtime's Softmax takes 151 ms for (1, 21, 500, 500) on one CPU core, this takes 15."""
        axes = g.ints([axis])
        exponentials = g.op("Exp", g.op("Sub", x, g.op("ReduceMax", x, axes)))
        return g.op("Div", exponentials, g.op("ReduceSum", exponentials, axes))

    def grad(self, g: GraphBuilder, saved: str, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((emit_softmax_gradient(g, saved, dy, [self.axis], self.temperature),))

    def reread(self, saved: str, bottoms: Sequence[str], tops: Sequence[str]) -> str:
        return tops[0]

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0] / self.temperature
        exponentials = np.exp(x - x.max(self.axis, keepdims=True))
        return Referenced((exponentials / exponentials.sum(self.axis, keepdims=True),))


def emit_softmax_gradient(g: GraphBuilder, y: str, dy: str, axes: Sequence[int], temperature: float) -> str:
    """``y * (dy - sum(dy * y)) / temperature``, the sum along the axes of a softmax whose result is ``y``."""
    dot = g.op("ReduceSum", g.op("Mul", dy, y), g.ints(axes), keepdims=1)
    dx = g.op("Mul", g.op("Sub", dy, dot), y)
    return dx if temperature == 1 else g.op("Div", dx, g.const(temperature))

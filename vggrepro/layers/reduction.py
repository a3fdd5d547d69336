"""Reduction: the last axes reduced to one number each (Caffe's Reduction layer)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.caffe.messages import ReductionParameter
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
from vggrepro.layers.rules.axes import canonical_axis
from vggrepro.layers.rules.element_count import element_count

SUM, ASUM, SUMSQ, MEAN = (
    ReductionParameter.SUM,
    ReductionParameter.ASUM,
    ReductionParameter.SUMSQ,
    ReductionParameter.MEAN,
)

_OPERATORS = {SUM: "ReduceSum", ASUM: "ReduceL1", SUMSQ: "ReduceSumSquare", MEAN: "ReduceMean"}

_REFERENCES: dict[int, Callable[[Array], Array]] = {
    SUM: lambda rows: rows.sum(axis=-1),
    ASUM: lambda rows: np.abs(rows).sum(axis=-1),
    SUMSQ: lambda rows: np.square(rows).sum(axis=-1),
    MEAN: lambda rows: rows.mean(axis=-1),
}


@register
@dataclass(frozen=True)
class Reduction(Layer[Value]):
    """``coeff`` times the sum, sum of magnitudes, sum of squares or mean over ``axis`` and all axes
    after it, which the top lacks. Axis 0 (the default) leaves a scalar."""

    type = "Reduction"

    operation: int = SUM
    axis: int = 0
    coeff: float = 1.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Reduction:
        p = param.reduction_param
        return cls(p.operation, p.axis, p.coeff)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (bottoms[0][: canonical_axis(self.axis, bottoms[0], "Reduction")],)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Value]:
        x = bottoms[0]
        top = g.op(_OPERATORS[self.operation], x.name, g.ints(self._reduced(x)), keepdims=0)
        if self.coeff != 1:
            top = g.op("Mul", top, g.const(self.coeff))
        return Emitted((top,), saved=x)

    def _length(self, g: GraphBuilder, x: Value) -> str:
        """How many elements become one."""
        axis = canonical_axis(self.axis, x.rank, "Reduction")
        if axis == 0:
            return element_count(g, x)
        return g.const(prod(Value(x.name, x.dims[axis:]).shape))

    def _reduced(self, x: Value) -> list[int]:
        return list(range(canonical_axis(self.axis, x.rank, "Reduction"), x.rank))

    def grad(self, g: GraphBuilder, saved: Value, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Sizes are read from the data: behind a Filter, axis 0 may be shorter than declared."""
        x = saved
        (dy,) = d_tops
        assert dy is not None
        scaled = g.op("Mul", dy, g.const(self.coeff)) if self.coeff != 1 else dy
        if self.operation == MEAN:
            scaled = g.op("Div", scaled, self._length(g, x))
        wide = g.op("Unsqueeze", scaled, g.ints(self._reduced(x)))  # (outer..., 1, ..., 1)
        if self.operation == ASUM:
            return Gradients((g.op("Mul", g.op("Sign", x.name), wide),))
        if self.operation == SUMSQ:
            return Gradients((g.op("Mul", x.name, g.op("Mul", wide, g.const(2))),))
        return Gradients((g.op("Expand", wide, g.op("Shape", x.name)),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        return Referenced((self.coeff * _REFERENCES[self.operation](x.reshape(*shape, -1)),))

"""Maxout: the largest of each group of channels (a fork's layer; not from BVLC Caffe).

Source: a public ``maxout.cpp`` with the field ``maxout_param``. "Maxout Networks", section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

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
    register,
)


class _Saved(NamedTuple):
    x: Value
    first: str
    """(N, num_output, 1, H, W), int64: which channel of a group is the largest, the first of equal ones."""


@register
@dataclass(frozen=True)
class Maxout(Layer[_Saved]):
    """Bottom (N, C, H, W), top (N, num_output, H, W): maxima over C / num_output neighbouring channels."""

    type = "Maxout"
    origin = "Maxout forks"

    outputs: int

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Maxout:
        if param.maxout_param.num_output < 1:
            raise NetError("output number cannot be zero.")
        return cls(param.maxout_param.num_output)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) != 4 or shape[1] % self.outputs:
            raise ShapeError(
                f"Number of channel should be multiples of output number. ({shape} and {self.outputs})"
            )
        return ((shape[0], self.outputs, *shape[2:]),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        size = Value(x.name, x.dims[1:2]).shape[0] // self.outputs
        tail = g.op("Shape", x.name, start=2)
        sizes = g.op("Concat", g.op("Shape", x.name, end=1), g.ints([self.outputs, size]), tail, axis=0)
        groups = g.op("Reshape", x.name, sizes)
        top = g.op("ReduceMax", groups, g.ints([2]), keepdims=0)
        return Emitted((top,), _Saved(x, g.op("ArgMax", groups, axis=2)))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        size = saved.x.shape[1] // self.outputs
        places = g.ints(np.arange(size).reshape(1, 1, size, 1, 1).tolist())
        own = g.op("Cast", g.op("Equal", saved.first, places), to=FLOAT)
        d = g.op("Mul", g.op("Unsqueeze", d_tops[0], g.ints([2])), own)
        return Gradients((g.op("Reshape", d, g.ints(saved.x.shape)),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        groups = np.split(x, self.outputs, axis=1)
        return Referenced((np.stack([group.max(1) for group in groups], axis=1),))

"""Reshape: the same values in another shape (Caffe's Reshape layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    register,
)
from vggrepro.layers.rules.replaced_axes import COPY, INFER, ReplacedAxes


@register
@dataclass(frozen=True)
class Reshape(Layer[ReplacedAxes]):
    """``num_axes`` axes (-1: all) from ``axis`` on give way to ``shape``.

    In ``shape`` 0 copies the bottom's size of the same axis, one -1 takes what is left.
    """

    type = "Reshape"
    moves_values = True

    shape: Shape = ()
    axis: int = 0
    num_axes: int = -1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Reshape:
        p = param.reshape_param
        shape = tuple(int(d) for d in p.shape.dim)
        if shape.count(INFER) > 1:
            raise NetError(
                "new shape contains multiple -1 dims;"
                f" at most a single (1) value of -1 may be specified; got {list(shape)}"
            )
        if min(shape, default=0) < INFER:
            raise NetError(f"shape dims must be at least -1, got {list(shape)}")
        if p.num_axes < -1:
            raise NetError(f"num_axes must be >= 0, or -1 for all; got {p.num_axes}")
        return cls(shape, p.axis, p.num_axes)

    def _replaced(self, rank: int) -> tuple[int, int]:
        """The first and the end axis of what gives way, in a bottom of ``rank`` axes."""
        start = self.axis if self.axis >= 0 else rank + self.axis + 1
        if not 0 <= start <= rank:
            raise ShapeError(f"axis {self.axis} out of range for {rank}-D input blob")
        end = rank if self.num_axes == -1 else start + self.num_axes
        if end > rank:
            raise ShapeError(
                f"end_axis = axis + num_axes is out of range ({start} + {self.num_axes} for {rank} axes)"
            )
        return start, end

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (bottom,) = bottoms
        start, end = self._replaced(len(bottom))
        copies = [start + index for index, dim in enumerate(self.shape) if dim == COPY]
        if copies and copies[-1] >= len(bottom):
            raise ShapeError(
                "new shape contains a 0, but there was no corresponding bottom axis to copy"
                f" (axis {copies[-1]} of a blob with {len(bottom)} axes)"
            )
        new = [bottom[start + i] if dim == COPY else dim for i, dim in enumerate(self.shape)]
        shape = [*bottom[:start], *new, *bottom[end:]]
        count = math.prod(bottom)
        if INFER in self.shape:
            place = start + self.shape.index(INFER)
            shape[place] = _left(count, math.prod(shape[:place] + shape[place + 1 :]))
        if math.prod(shape) != count:
            raise ShapeError(
                "output count must match input count"
                f" ({math.prod(shape)} vs. {count}: {tuple(shape)} from {bottom})"
            )
        return (tuple(shape),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[ReplacedAxes]:
        axes = ReplacedAxes(bottoms[0], *self._replaced(bottoms[0].rank), self.shape)
        return Emitted((axes.emit(g),), saved=axes)

    def grad(
        self, g: GraphBuilder, saved: ReplacedAxes, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        (dy,) = d_tops
        assert dy is not None
        return Gradients((saved.gradient(g, dy),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((np.reshape(bottoms[0], self.out_shapes([bottoms[0].shape])[0]),))


def _left(count: int, explicit: int) -> int:
    """The size that a -1 stands for."""
    if explicit == 0 or count % explicit:
        raise ShapeError(
            f"bottom count ({count}) must be divisible by the product of the specified"
            f" dimensions ({explicit})"
        )
    return count // explicit

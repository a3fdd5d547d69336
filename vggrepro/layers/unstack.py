"""Unstack: the slices of an axis, each a top without it (Synopsys' layer; not from BVLC Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, field ``unstack_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, at_least, register
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class Unstack(Layer[None]):
    """Bottom of any shape; top i is slice i of ``axis``. There may be fewer tops than slices. ``num`` has no
    effect, as in the fork.

    The fork's default of ``axis`` is not known: it must be given. The fork has no backward pass.
    """

    type = "Unstack"
    origin = "Synopsys"
    tops = at_least(1)
    has_gradient = False

    axis: int
    count: int
    """How many tops there are."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Unstack:
        if not param.unstack_param.HasField("axis"):
            raise UnsupportedError("unstack_param: axis must be given")
        return cls(param.unstack_param.axis, len(param.top))

    def _axis(self, shape: Sequence[object]) -> int:
        return canonical_axis(self.axis, (1,) * len(shape), "unstack_param")

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = bottoms
        axis = self._axis(x)
        if self.count > x[axis]:
            raise ShapeError(f"unstack_param: {self.count} tops of {x[axis]} slices (axis {axis} of {x})")
        return ((*x[:axis], *x[axis + 1 :]),) * self.count

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset({self._axis(bottoms[0])})

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        (x,) = bottoms
        axis = g.ints([self._axis(x.dims)])
        slices = [g.op("Slice", x.name, g.ints([i]), g.ints([i + 1]), axis) for i in range(self.count)]
        return Emitted(tuple(g.op("Squeeze", part, axis) for part in slices), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced(tuple(np.moveaxis(bottoms[0], self.axis, 0)[: self.count]))

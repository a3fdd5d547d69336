"""ExpandDimsND: new axes of size 1 (Synopsys' layer; not from BVLC Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, field ``expand_dims_nd_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class ExpandDimsND(Layer[tuple[int, ...]]):
    """Bottom of any shape. Entry i of ``axis`` puts an axis before axis ``axis[i] + i`` of what there is by
    then; a negative entry counts from behind the last axis of the bottom."""

    type = "ExpandDimsND"
    origin = "Synopsys"

    named: tuple[int, ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ExpandDimsND:
        return cls(tuple(param.expand_dims_nd_param.axis))

    def _axes(self, rank: int) -> tuple[int, ...]:
        """Which axes of the top are new."""
        new = [False] * rank
        for index, axis in enumerate(self.named):
            if axis > rank:
                raise ShapeError(f"expand_dims_nd_param: axis {axis} is beyond the {rank} axes of the bottom")
            at = axis if axis >= 0 else canonical_axis(axis, (1,) * rank, "expand_dims_nd_param") + 1
            new.insert(at + index, True)
        return tuple(axis for axis, added in enumerate(new) if added)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        sizes, axes = iter(bottoms[0]), self._axes(len(bottoms[0]))
        rank = len(bottoms[0]) + len(axes)
        return (tuple(1 if axis in axes else next(sizes) for axis in range(rank)),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[int, ...]]:
        (x,) = bottoms
        axes = self._axes(x.rank)
        top = g.op("Unsqueeze", x.name, g.ints(axes)) if axes else g.op("Identity", x.name)
        return Emitted((top,), axes)

    def grad(
        self, g: GraphBuilder, saved: tuple[int, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((g.op("Squeeze", dy, g.ints(saved)) if saved else dy,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((np.expand_dims(bottoms[0], self._axes(bottoms[0].ndim)),))

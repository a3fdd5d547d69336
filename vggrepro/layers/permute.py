"""Permute: the axes in another order (SSD's Permute layer; not from BVLC Caffe).

Source: weiliu89/caffe, branch ssd, which brings channels to the end before it flattens predictions.
"""

from __future__ import annotations

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
    Reach,
    Referenced,
    Shapes,
    register,
)


@register
@dataclass(frozen=True)
class Permute(Layer[tuple[int, ...]]):
    """Axis i of the top is axis ``order[i]`` of the bottom; axes that are not named follow in their order."""

    type = "Permute"
    moves_values = True
    origin = "SSD"

    order: tuple[int, ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Permute:
        order = tuple(param.permute_param.order)
        if len(set(order)) < len(order):
            raise NetError(f"there are duplicate orders {order}")
        return cls(order)

    def axes(self, rank: int) -> tuple[int, ...]:
        """The whole order for a bottom of ``rank`` axes."""
        if any(axis >= rank for axis in self.order):
            raise ShapeError(
                f"order should be less than the input dimension. ({max(self.order)}, {rank} axes)"
            )
        return (*self.order, *(axis for axis in range(rank) if axis not in self.order))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        return (tuple(shape[axis] for axis in self.axes(len(shape))),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[int, ...]]:
        (x,) = bottoms
        axes = self.axes(x.rank)
        return Emitted((g.op("Transpose", x.name, perm=axes),), saved=axes)

    def grad(
        self, g: GraphBuilder, saved: tuple[int, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((g.op("Transpose", dy, perm=np.argsort(saved).tolist()),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        return Referenced((np.moveaxis(x, self.axes(x.ndim), range(x.ndim)),))

"""Tile: copies of a blob along one axis (Caffe's Tile layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    register,
)
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class Tile(Layer[Value]):
    """The bottom ``tiles`` times in a row along ``axis``; its gradient is the sum over the copies."""

    type = "Tile"
    moves_values = True

    tiles: int
    axis: int = 1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Tile:
        p = param.tile_param
        if not p.HasField("tiles"):
            raise NetError("Number of tiles must be specified")
        if p.tiles <= 0:
            raise NetError(f"Number of tiles must be positive. (got {p.tiles})")
        return cls(p.tiles, p.axis)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        shape = bottoms[0]
        axis = canonical_axis(self.axis, shape, "Tile")
        return ((*shape[:axis], shape[axis] * self.tiles, *shape[axis + 1 :]),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Value]:
        x = bottoms[0]
        axis = canonical_axis(self.axis, x.rank, "Tile")
        repeats = [self.tiles if a == axis else 1 for a in range(x.rank)]
        return Emitted((g.op("Tile", x.name, g.ints(repeats)),), saved=x)

    def grad(self, g: GraphBuilder, saved: Value, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        x = saved
        (dy,) = d_tops
        assert dy is not None
        axis = canonical_axis(self.axis, x.rank, "Tile")
        apart = [*[0] * axis, self.tiles, *x.shape[axis:]]  # leading axes are copied
        copies = g.op("Reshape", dy, g.ints(apart))  # (outer..., tiles, axis, inner...)
        return Gradients((g.op("ReduceSum", copies, g.ints([axis]), keepdims=0),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((np.concatenate([bottoms[0]] * self.tiles, axis=self.axis),))

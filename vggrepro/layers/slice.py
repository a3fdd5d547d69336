"""Slice: a blob cut into pieces along one axis (Caffe's Slice layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
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
    at_least,
    register,
)
from vggrepro.layers.rules.legacy_axis import LegacyAxis

_TO_THE_END = 2**31 - 1


@register
@dataclass(frozen=True)
class Slice(Layer[Value]):
    """Pieces of ``axis`` (default 1), cut before each of ``points``; without points, equal pieces."""

    type = "Slice"
    moves_values = True
    tops = at_least(1)

    axis: LegacyAxis
    points: tuple[int, ...] = ()
    count: int = 1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Slice:
        axis = LegacyAxis.parse(param.slice_param, "slice_dim")
        points = tuple(param.slice_param.slice_point)
        if points and len(points) != len(param.top) - 1:
            raise NetError(
                "slice_point_.size() == top.size() - 1"
                f" ({len(points)} vs. {len(param.top) - 1}): one slice_point fewer than tops expected"
            )
        for before, after in pairwise((0, *points)):
            if after <= before:
                raise NetError(f"slice_point_[i] > prev ({after} vs. {before}): slice points must grow")
        return cls(axis, points, len(param.top))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        shape = bottoms[0]
        axis = self.axis.of(shape, "Slice")
        return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in self._sizes(shape[axis]))

    def _sizes(self, whole: int) -> list[int]:
        if not self.points:
            if whole % self.count:
                raise ShapeError(
                    f"Number of top blobs ({self.count}) should evenly divide input slice axis ({whole})"
                )
            return [whole // self.count] * self.count
        if self.count > whole:
            raise ShapeError(f"top.size() <= bottom_slice_axis ({self.count} vs. {whole}): too many tops")
        if self.points[-1] > whole:
            raise ShapeError(
                f"shape[i] >= 0 ({whole - self.points[-1]} vs. 0): slice_point {self.points[-1]} lies beyond"
                f" the axis of size {whole}"
            )
        return [b - a for a, b in pairwise((0, *self.points, whole))]

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Value]:
        x = bottoms[0]
        axis = self.axis.value % x.rank
        if self.count == 1:
            return Emitted((x.name,), saved=x)
        whole = x.dims[axis]
        if whole is None and self.points:
            return Emitted(self._cut(g, x.name, axis), saved=x)
        sizes = self._sizes(x.shape[axis] if whole is None else whole)
        tops = g.ops("Split", x.name, g.ints(sizes), outputs=self.count, axis=axis)
        return Emitted(tops, saved=x)

    def _cut(self, g: GraphBuilder, x: str, axis: int) -> tuple[str, ...]:
        """The pieces of an axis whose size is known only when the graph runs."""
        bounds = pairwise((0, *self.points, _TO_THE_END))
        return tuple(g.op("Slice", x, g.ints([a]), g.ints([b]), g.ints([axis])) for a, b in bounds)

    def grad(self, g: GraphBuilder, saved: Value, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        x = saved
        if self.count == 1 or all(d is None for d in d_tops):
            return Gradients((d_tops[0],))
        pieces = [
            g.op("ConstantOfShape", g.ints(shape)) if d is None else d
            for d, shape in zip(d_tops, self.out_shapes([x.shape]), strict=True)
        ]
        return Gradients((g.op("Concat", *pieces, axis=self.axis.value % x.rank),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        cuts = self.points or self.count
        return Referenced(tuple(np.split(bottoms[0], cuts, axis=self.axis.value)))

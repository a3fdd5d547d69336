"""Concat: blobs joined along one axis (Caffe's Concat layer)."""

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
    Referenced,
    Shapes,
    at_least,
    register,
)
from vggrepro.layers.rules.legacy_axis import LegacyAxis


@register
@dataclass(frozen=True)
class Concat(Layer[tuple[Value, ...]]):
    """Bottoms agree in all axes but ``axis`` (default 1), where the top has the sum of their sizes.

    A single bottom is passed on.
    """

    type = "Concat"
    moves_values = True
    bottoms = at_least(1)

    axis: LegacyAxis

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Concat:
        return cls(LegacyAxis.parse(param.concat_param, "concat_dim"))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        first = bottoms[0]
        axis = self.axis.of(first, "Concat")
        for index, shape in enumerate(bottoms):
            if len(shape) != len(first):
                raise ShapeError(
                    f"All inputs must have the same #axes. ({len(first)} vs. {len(shape)} of bottom {index})"
                )
            if shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
                raise ShapeError(
                    "All inputs must have the same shape, except at concat_axis."
                    f" ({first} vs. {shape} of bottom {index}, concat_axis {axis})"
                )
        return ((*first[:axis], sum(shape[axis] for shape in bottoms), *first[axis + 1 :]),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[Value, ...]]:
        if len(bottoms) == 1:
            return Emitted((bottoms[0].name,), saved=tuple(bottoms))
        axis = self.axis.value % bottoms[0].rank
        return Emitted((g.op("Concat", *(b.name for b in bottoms), axis=axis),), saved=tuple(bottoms))

    def grad(
        self, g: GraphBuilder, saved: tuple[Value, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        bottoms = saved
        (dy,) = d_tops
        assert dy is not None
        if len(bottoms) == 1:
            return Gradients((dy,))
        axis = self.axis.value % bottoms[0].rank
        stops = np.cumsum([b.shape[axis] for b in bottoms]).tolist()
        starts = [0, *stops[:-1]]
        return Gradients(
            tuple(
                g.op("Slice", dy, g.ints([start]), g.ints([stop]), g.ints([axis])) if wanted else None
                for start, stop, wanted in zip(starts, stops, needed.bottoms, strict=True)
            )
        )

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((np.concatenate(bottoms, axis=self.axis.value),))

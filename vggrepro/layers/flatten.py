"""Flatten: neighbouring axes become one (Caffe's Flatten layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
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
from vggrepro.layers.rules.replaced_axes import INFER, ReplacedAxes


@register
@dataclass(frozen=True)
class Flatten(Layer[ReplacedAxes]):
    """Axes ``axis`` to ``end_axis`` (included; negative ones count from the end) become one.

    If ``end_axis`` lies just before ``axis``, that one is a new axis of size 1, as in Caffe.

    DEVIATION: behind a Reshape, Caffe's Flatten hands its gradient to the Reshape's top alone, so what
    lies before that one learns nothing. Here the gradient goes through.
    """

    type = "Flatten"
    moves_values = True

    axis: int = 1
    end_axis: int = -1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Flatten:
        return cls(param.flatten_param.axis, param.flatten_param.end_axis)

    def _range(self, dims: Dims) -> tuple[int, int]:
        start = canonical_axis(self.axis, dims, "Flatten axis")
        end = canonical_axis(self.end_axis, dims, "Flatten end_axis") + 1
        if start > end:
            raise ShapeError(f"start_axis <= end_axis ({start} vs. {end}): end_axis lies before axis")
        return start, end

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        shape = bottoms[0]
        start, end = self._range(shape)
        return ((*shape[:start], math.prod(shape[start:end]), *shape[end:]),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[ReplacedAxes]:
        x = bottoms[0]
        start, end = self._range(x.dims)
        known = [size for size in x.dims[start:end] if size is not None]
        # Axis 0 is always inferred, since a Filter may shorten it; other sizes are asked for where
        # they are known, which is right for a blob without rows too.
        fixed = start > 0 and len(known) == end - start
        axes = ReplacedAxes(x, start, end, (math.prod(known) if fixed else INFER,))
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

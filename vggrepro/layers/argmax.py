"""ArgMax: the places, and the values, of the largest elements (Caffe's ArgMax layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Layer,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.axes import canonical_axis

_BEFORE_THE_START = -(2**31)


@register
@dataclass(frozen=True)
class ArgMax(Layer[None]):
    """The ``top_k`` largest elements in falling order; of equal ones the larger index comes first.

    With ``axis``: along that axis their indices, or with ``out_max_val`` their values; the top has
    size ``top_k`` there. Without: of each whole item, (N, 1, top_k) holds the indices, and with
    ``out_max_val`` (N, 2, top_k) the indices and the values; ones follow, up to the bottom's rank.
    Indices are float32, as every blob. Caffe has no backward pass.
    """

    type = "ArgMax"
    has_gradient = False
    steep = True

    top_k: int = 1
    out_max_val: bool = False
    axis: int | None = None

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ArgMax:
        p = param.argmax_param
        if p.top_k < 1:
            raise NetError(f"top k must not be less than 1. (got {p.top_k})")
        return cls(p.top_k, p.out_max_val, p.axis if p.HasField("axis") else None)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if self.axis is None:
            self._check(math.prod(shape[1:]), "the flattened bottom blob per instance.")
            ones = (1,) * (len(shape) - 3)
            return ((shape[canonical_axis(0, shape, "ArgMax")], 1 + self.out_max_val, self.top_k, *ones),)
        axis = canonical_axis(self.axis, shape, "ArgMax")
        self._check(shape[axis], "the axis.")
        return ((*shape[:axis], self.top_k, *shape[axis + 1 :]),)

    def _check(self, size: int, what: str) -> None:
        if self.top_k > size:
            raise ShapeError(
                f"top_k must be less than or equal to the dimension of {what} ({self.top_k} vs. {size})"
            )

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0]
        if self.axis is not None:
            values, indices = self._largest(g, x.name, canonical_axis(self.axis, x.rank, "ArgMax"))
            return Emitted((values if self.out_max_val else indices,), None)
        values, indices = self._largest(g, g.op("Flatten", x.name, axis=1), 1)  # (N, top_k)
        top = g.op("Unsqueeze", indices, g.ints([1]))
        if self.out_max_val:
            top = g.op("Concat", top, g.op("Unsqueeze", values, g.ints([1])), axis=1)
        if x.rank > 3:
            top = g.op("Unsqueeze", top, g.ints(list(range(3, x.rank))))
        return Emitted((top,), None)

    def _largest(self, g: GraphBuilder, x: str, axis: int) -> tuple[str, str]:
        """Values and indices along ``axis``. TopK prefers the smaller index among equals, so it sees
        the axis in reverse order."""
        places = g.ints([-1]), g.ints([_BEFORE_THE_START]), g.ints([axis]), g.ints([-1])
        reverse = g.op("Slice", x, *places)
        values, reverse_indices = g.ops("TopK", reverse, g.ints([self.top_k]), outputs=2, axis=axis)
        size = g.op("Shape", x, start=axis, end=axis + 1)
        indices = g.op("Sub", g.op("Sub", size, g.ints(1)), reverse_indices)
        return values, g.op("Cast", indices, to=FLOAT)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        rows = x.reshape(len(x), -1) if self.axis is None else np.moveaxis(x, self.axis, -1)
        order = rows.shape[-1] - 1 - np.argsort(-rows[..., ::-1], axis=-1, kind="stable")
        indices = order[..., : self.top_k]
        values = np.take_along_axis(rows, indices, axis=-1)
        if self.axis is not None:
            top = values if self.out_max_val else indices.astype(np.float64)
            return Referenced((np.moveaxis(top, -1, self.axis),))
        parts = [indices.astype(np.float64), values] if self.out_max_val else [indices.astype(np.float64)]
        return Referenced((np.stack(parts, axis=1).reshape(shape),))

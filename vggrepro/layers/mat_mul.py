"""MatMul: products of matrices (Synopsys' and other forks' layer; not from BVLC Caffe).

Sources: foss-for-synopsys-dwc-arc-processors/synopsys-caffe and a fork for relevance propagation, field
``matmul_param``; troyliu0105/caffe, without fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    register,
)

MOST_AXES = 3
"""Of more axes the forks make matrices in different ways."""


@register
@dataclass(frozen=True)
class MatMul(Layer[tuple[Value, Value]]):
    """Bottoms A (..., M, K) and B (..., K, N), whose axes in front are the same: top (..., M, N), the product
    of each matrix of A with its own of B. With ``transpose_a`` A is (..., K, M), with ``transpose_b`` B is
    (..., N, K). B may have two axes where A has more: the same matrix for all. B may be a blob of the layer's
    own, of the shape ``blob_shape``, in place of a bottom.

    Of two bottoms of four axes and more Synopsys multiplies the last two axes, the fork for relevance
    propagation the second and all behind it: ``--fork synopsys`` tells that Synopsys' are meant. Synopsys'
    layer has no backward pass; the gradient here is the others'.
    """

    type = "MatMul"
    origin = "Synopsys and others"
    bottoms = Count(1, 2)

    transposed: tuple[bool, bool] = (False, False)
    shape: tuple[int, ...] = ()
    last_axes: bool = False
    """Whether matrices are surely the last two axes."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MatMul:
        p = param.matmul_param
        shape = tuple(p.blob_shape)
        if any(size < 1 for size in shape):
            raise NetError(f"matmul_param: blob_shape must be of positive sizes, got {list(shape)}")
        return cls((p.transpose_a, p.transpose_b), shape, p.last_axes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms) == 1 and not self.shape:
            raise NetError("MatMul of one bottom needs a blob_shape")
        a, b = (tuple(shape) for shape in (*bottoms, self.shape)[:2])
        if len(b) == 2 < len(a):
            if any(self.transposed):
                raise UnsupportedError(f"MatMul with transpose_a or transpose_b of {a} with one matrix {b}")
        elif len(a) != len(b) or len(a) < 2 or a[:-2] != b[:-2]:
            raise ShapeError(f"inputs should have same shape except in last two dimensions, got {a} and {b}")
        elif len(a) > MOST_AXES and len(bottoms) == 2 and not self.last_axes:
            raise UnsupportedError(
                f"MatMul of bottoms with {len(a)} axes: forks differ; --fork synopsys if Synopsys' is meant"
            )
        (m, k), (rows, n) = (
            shape[:-3:-1] if turned else shape[-2:]
            for shape, turned in zip((a, b), self.transposed, strict=True)
        )
        if k != rows:
            raise ShapeError(f"input a and input b have incompatible shapes! ({a} and {b})")
        return ((*a[:-2], m, n),)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return () if len(bottoms) > 1 else (ParamDef(self.shape),)

    def macs(self, bottoms: Shapes) -> int:
        (top,) = self.out_shapes(bottoms)
        return prod(top) * bottoms[0][-2 if self.transposed[0] else -1]

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[Value, Value]]:
        a, b = (*bottoms, *params)[:2]
        return Emitted((g.op("MatMul", *self._upright(g, a, b)),), (a, b))

    def _upright(self, g: GraphBuilder, a: Value, b: Value) -> list[str]:
        """A as (..., M, K) and B as (..., K, N)."""
        return [
            _turned(g, value.name, value.rank) if turned else value.name
            for value, turned in zip((a, b), self.transposed, strict=True)
        ]

    def grad(
        self, g: GraphBuilder, saved: tuple[Value, Value], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        (dy,) = d_tops
        wanted = [*needed.bottoms, *needed.params]
        if dy is None:
            return Gradients((None,) * len(needed.bottoms), (None,) * len(needed.params))
        (a, b), (left, right) = saved, self._upright(g, *saved)
        found: list[str | None] = [None, None]
        if wanted[0]:
            found[0] = g.op("MatMul", dy, _turned(g, right, b.rank))
        if wanted[1]:
            rank = b.rank
            if rank < a.rank:  # one matrix for all: all rows of A are one matrix too
                left, dy = (g.op("Flatten", x, axis=a.rank - 1) for x in (left, dy))
            found[1] = g.op("MatMul", _turned(g, left, rank), dy)
        for index, (value, turned) in enumerate(zip(saved, self.transposed, strict=True)):
            name = found[index]
            if turned and name is not None:
                found[index] = _turned(g, name, value.rank)
        bottoms = len(needed.bottoms)
        return Gradients(tuple(found[:bottoms]), tuple(found[bottoms:]))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, b = (*bottoms, *params)[:2]
        first = "...km" if self.transposed[0] else "...mk"
        second = "...nk" if self.transposed[1] else "...kn"
        return Referenced((np.einsum(f"{first},{second}->...mn", a, b),))


def _turned(g: GraphBuilder, x: str, rank: int) -> str:
    """x with its last two axes exchanged."""
    return g.op("Transpose", x, perm=[*range(rank - 2), rank - 1, rank - 2])

"""Gather: slices of an axis by their indices, or blobs as they are (forks' layers; not from BVLC Caffe).

Two forks' layers of one name. With ``gather_param`` it is that of foss-for-synopsys-dwc-arc-processors/
synopsys-caffe, without it that of hszhao/PSPNet and yjxiong/caffe, which collects the batches of all ranks of
a run under MPI: the batch itself of one rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
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
    at_least,
    register,
)
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class Gather(Layer[tuple[Value, ...]]):
    """With indices: bottom of any shape, in the top the axis has the shape of the indices. Synopsys' layer
    has no gradient; here it is taken to where the values came from.

    Without: as many tops as bottoms, each its bottom. DEVIATION: ranks here share a batch out, and no layer
    sees the others' part.
    """

    type = "Gather"
    origin = "Synopsys; CUHK, PSPNet"
    bottoms = at_least(1)
    tops = at_least(1)
    moves_values = True

    indices: tuple[int, ...] | None = None
    shape: tuple[int, ...] = ()
    axis: int = 0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Gather:
        p = param.gather_param
        if not param.HasField("gather_param"):
            if len(param.bottom) != len(param.top):
                raise NetError("Must have equal number of top and bottom blobs")
            return cls()
        if len(param.bottom) != 1 or len(param.top) != 1:
            raise NetError(f"Gather with gather_param takes one bottom and one top, got {len(param.bottom)}")
        shape = () if list(p.shape) == [0] else tuple(p.shape)
        if not p.indices or len(p.indices) != prod(shape):
            raise NetError(
                "the size and shape of indices do not match"
                f" ({len(p.indices)} indices, shape {list(p.shape)})"
            )
        return cls(tuple(p.indices), shape, p.axis)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if self.indices is None:
            return tuple(bottoms)
        (x,) = bottoms
        axis = canonical_axis(self.axis, x, "gather axis")
        if not (min(self.indices) >= 0 and max(self.indices) < x[axis]):
            raise ShapeError(f"indices must be from 0 to {x[axis] - 1} for shape {x}, got {self.indices}")
        return ((*x[:axis], *self.shape, *x[axis + 1 :]),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None if self.indices is not None else super().reach(bottom)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[Value, ...]]:
        if self.indices is None:
            return Emitted(tuple(b.name for b in bottoms), tuple(bottoms))
        index = g.const(np.reshape(self.indices, self.shape), np.int64)
        return Emitted((g.op("Gather", bottoms[0].name, index, axis=self.axis),), tuple(bottoms))

    def grad(
        self, g: GraphBuilder, saved: tuple[Value, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        if self.indices is None:
            return Gradients(tuple(d_tops))
        (x,), dy = saved, d_tops[0]
        if dy is None:
            return Gradients((None,))
        axis = self.axis % x.rank
        size = Value(x.name, x.dims[axis : axis + 1]).shape[0]
        picks = (np.array(self.indices)[:, None] == np.arange(size)).astype(np.float32)  # (indices, size)
        before = [g.op("Shape", x.name, start=0, end=axis)] if axis else []
        after = [g.op("Shape", x.name, start=axis + 1)] if axis < x.rank - 1 else []
        flat = g.op("Reshape", dy, g.op("Concat", *before, g.ints([len(picks), -1]), axis=0))
        whole = g.op("Concat", *before, g.ints([size]), *after, axis=0)
        return Gradients((g.op("Reshape", g.op("MatMul", g.const(picks.T), flat), whole),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        if self.indices is None:
            return Referenced(tuple(bottoms))
        return Referenced((bottoms[0].take(np.reshape(self.indices, self.shape), self.axis),))

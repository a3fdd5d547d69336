"""L2Normalize, L2Normalization: images divided by their lengths (layers of forks; not from BVLC Caffe).

Sources: public ``l2normalize_layer.cpp`` and ``l2normalization_layer.cpp``; both are without fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from vggrepro.layers.rules.loss import check_legacy, shaped_like


class _Saved(NamedTuple):
    x: Value
    unit: str
    """(N, K)."""
    length: str
    """(N, 1)."""


@register
@dataclass(frozen=True)
class L2Normalization(Layer[_Saved]):
    """Bottom (N, ...), top of the same shape: each image divided by the root of the sum of its squares. An
    image of zeros gives no numbers, as in the forks."""

    type = "L2Normalization"
    origin = "retrieval forks"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> L2Normalization:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) < 1:
            raise ShapeError("bottom[0] must be (N, ...)")
        return (bottoms[0],)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        rows = g.op("Flatten", x.name, axis=1)
        length = g.op("Sqrt", g.op("ReduceSumSquare", rows, g.ints([1])))
        unit = g.op("Div", rows, length)
        return Emitted((self._shaped(g, unit, x),), _Saved(x, unit, length))

    def _shaped(self, g: GraphBuilder, rows: str, x: Value) -> str:
        return shaped_like(g, Value(rows, (None, None)), x)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        d = g.op("Flatten", d_tops[0], axis=1)
        along = g.op("Mul", saved.unit, g.op("ReduceSum", g.op("Mul", d, saved.unit), g.ints([1])))
        d_rows = g.op("Div", g.op("Sub", d, along), saved.length)
        return Gradients((shaped_like(g, Value(d_rows, (None, None)), saved.x),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        rows = bottoms[0].reshape(len(bottoms[0]), -1)
        unit = rows / np.sqrt((rows**2).sum(1, keepdims=True))
        return Referenced((unit.reshape(self.out_shapes([bottoms[0].shape])[0]),))


@register
@dataclass(frozen=True)
class L2Normalize(L2Normalization):
    """The same with a top of four axes, (N, C, H, W): those that the bottom lacks are 1."""

    type = "L2Normalize"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> L2Normalize:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = super().out_shapes(bottoms)
        check_legacy(x)
        return ((*x, *[1] * (4 - len(x))),)

    def _shaped(self, g: GraphBuilder, rows: str, x: Value) -> str:
        same = super()._shaped(g, rows, x)
        return same if x.rank == 4 else g.op("Unsqueeze", same, g.ints(range(x.rank, 4)))

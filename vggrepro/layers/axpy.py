"""Axpy: ``a * x + y``, with one a for each channel (SENet's Axpy layer; not from BVLC Caffe).

Source: hujie-frank/SENet, where it applies the channels' weights and adds the shortcut in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    exactly,
    register,
)


class _Saved(NamedTuple):
    a: Value
    x: Value
    aligned: str
    """a in a shape that broadcasts against x."""


@register
@dataclass(frozen=True)
class Axpy(Layer[_Saved]):
    """Bottoms: a (N, C) or (N, C, 1, 1), x (N, C, ...) and y of x's shape. Top: of x's shape."""

    type = "Axpy"
    origin = "SENet"
    bottoms = exactly(3)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Axpy:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        a, x, y = bottoms
        if len(a) < 2 or len(x) < 2 or a[:2] != x[:2]:
            raise ShapeError(
                f"bottom[0] must have one value for each channel of bottom[1]: shapes {a} and {x}"
            )
        if any(size != 1 for size in a[2:]):
            raise ShapeError(f"bottom[0] must have no size but 1 behind its channels, got shape {a}")
        if x != y:
            raise ShapeError(f"Check failed: bottom[1]->shape() == bottom[2]->shape() ({x} vs. {y})")
        return (x,)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        a, x, y = bottoms
        aligned = a.name
        if a.rank != x.rank:
            aligned = g.op("Reshape", a.name, g.ints([0, 0] + [1] * (x.rank - 2)))
        top = g.op("Add", g.op("Mul", aligned, x.name), y.name)
        return Emitted((top,), saved=_Saved(a, x, aligned))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        a, x, aligned = saved
        dy = d_tops[0]
        if dy is None:
            return Gradients((None, None, None))
        da = dx = None
        if needed.bottoms[0]:
            products = g.op("Mul", dy, x.name)
            sums = g.op("ReduceSum", products, g.ints(range(2, x.rank))) if x.rank > 2 else products
            da = sums if a.rank == x.rank else g.op("Reshape", sums, g.ints(a.shape))
        if needed.bottoms[1]:
            dx = g.op("Mul", dy, aligned)
        return Gradients((da, dx, dy if needed.bottoms[2] else None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, x, y = bottoms
        return Referenced((a.reshape(x.shape[:2] + (1,) * (x.ndim - 2)) * x + y,))

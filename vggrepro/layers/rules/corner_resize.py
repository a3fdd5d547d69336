"""Layers of forks that resize linearly: the first corner stays a corner, at the other end they differ."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Reach, Shapes


def first_corner_places(size: int, inner: int) -> Array:
    """Where ``size`` elements lie among ``inner`` ones if the first corner stays a corner: element i at ``i *
    inner / size``, rounded to float32 as layers compute it."""
    ratio = np.float32(inner) / np.float32(size)
    places: Array = (np.arange(size, dtype=np.float32) * ratio).astype(np.float64)
    return places


@dataclass(frozen=True)
class CornerResize(Layer[Shape]):
    """Bottom (N, C, H, W), top (N, C, H', W'): products of the bottom with a matrix for the rows and one for
    the columns."""

    size: tuple[int, int]
    """H' and W'; 0 where a factor tells it."""
    factors: tuple[float, float] = (0.0, 0.0)
    """Of H and W; the products are rounded down."""

    @staticmethod
    @abstractmethod
    def shares(size: int, inner: int) -> Array:
        """How ``size`` elements are made of ``inner`` ones: (size, inner)."""

    @classmethod
    def gradient_shares(cls, size: int, inner: int) -> Array:
        """The shares by which gradients go back, (size, inner)."""
        return cls.shares(size, inner)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset({2, 3})

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = bottoms
        if len(x) != 4:
            raise ShapeError(f"{self.type}: bottom[0] must be (N, C, H, W), got shape {x}")
        sizes = self._sizes(x[2:])
        if min(sizes) < 1:
            raise ShapeError(f"{self.type}: the factors leave nothing of shape {x}")
        return ((*x[:2], *sizes),)

    def _sizes(self, inner: Shape) -> tuple[int, ...]:
        """Height and width of the top of a bottom of height and width ``inner``."""
        each = zip(self.size, inner, self.factors, strict=True)
        return tuple(size or int(np.float32(n) * np.float32(factor)) for size, n, factor in each)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Shape]:
        x = bottoms[0]
        inner = Value(x.name, x.dims[2:]).shape
        rows, columns = map(self.shares, self._sizes(inner), inner)
        top = g.op("MatMul", g.const(rows), g.op("MatMul", x.name, g.const(columns.T)))
        return Emitted((top,), inner)

    def grad(self, g: GraphBuilder, saved: Shape, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        rows, columns = map(self.gradient_shares, self._sizes(saved), saved)
        across = g.op("MatMul", d_tops[0], g.const(columns))
        return Gradients((g.op("MatMul", g.const(rows.T), across),))

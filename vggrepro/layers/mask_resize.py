"""MaskResize: bilinear resizing in which the first corner stays a corner (MNC's layer; not from BVLC Caffe).

Sources: daijifeng001/caffe-mnc, and BestSonny/SSTD with factors in place of sizes; field
``mask_resize_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
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
from vggrepro.layers.rules.resizing import first_corner_places


@register
@dataclass(frozen=True)
class MaskResize(Layer[Shape]):
    """Bottom (N, C, H, W), top (N, C, H', W'): row i of the top lies at ``i * H / H'`` of the bottom, columns
    likewise. Beyond the last place there is its value, and more than half a place beyond it 0. A factor above
    0 replaces a size by that multiple of the bottom's, rounded down.

    The gradient is the fork's: of each place it sees no more than two rows and two columns of the top, those
    about the place itself, so that calculus has more where the top is larger.

    Another fork has a layer of this name with other places, so that a net without factors must name its fork.
    """

    type = "MaskResize"
    origin = "MNC, SSTD"

    size: tuple[int, int]
    factors: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MaskResize:
        p = param.mask_resize_param
        if p.output_height < 1 or p.output_width < 1:
            raise NetError("mask_resize_param: output_height and output_width must be above 0")
        if not (p.HasField("factor_height") or p.HasField("factor_width")):
            raise UnsupportedError("mask_resize_param without factors: forks differ: name the fork: mnc")
        return cls((p.output_height, p.output_width), (p.factor_height, p.factor_width))

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset({2, 3})

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = bottoms
        if len(x) != 4:
            raise ShapeError(f"MaskResize: bottom[0] must be (N, C, H, W), got shape {x}")
        sizes = self._sizes(x)
        if min(sizes) < 1:
            raise ShapeError(f"mask_resize_param: the factors leave nothing of shape {x}")
        return ((*x[:2], *sizes),)

    def _sizes(self, x: Shape) -> tuple[int, ...]:
        return tuple(
            int(np.float32(inner) * np.float32(factor)) if factor > 0 else size
            for inner, factor, size in zip(x[2:], self.factors, self.size, strict=True)
        )

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Shape]:
        x = bottoms[0]
        sizes = Value(x.name, x.dims[2:]).shape
        rows, columns = (
            _shares(size, inner) for size, inner in zip(self._sizes((1, 1, *sizes)), sizes, strict=True)
        )
        top = g.op("MatMul", g.const(rows), g.op("MatMul", x.name, g.const(columns.T)))
        return Emitted((top,), sizes)

    def grad(self, g: GraphBuilder, saved: Shape, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        rows, columns = (
            _shares(size, inner) * _seen(size, inner)
            for size, inner in zip(self._sizes((1, 1, *saved)), saved, strict=True)
        )
        across = g.op("MatMul", d_tops[0], g.const(columns))
        return Gradients((g.op("MatMul", g.const(rows.T), across),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        for axis in (2, 3):
            inner, size = x.shape[axis], shape[axis]
            at = first_corner_places(size, inner)
            beyond = (at > inner - 0.5).reshape((-1,) + (1,) * (3 - axis))
            at = at.clip(0, inner - 1)
            low = np.floor(at).astype(int)
            share = (at - low).reshape((-1,) + (1,) * (3 - axis))
            x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, inner - 1), axis) * share
            x = np.where(beyond, 0, x)
        return Referenced((x,))


def _shares(size: int, inner: int) -> Array:
    """How ``size`` elements are made of ``inner`` ones: (size, inner)."""
    at = first_corner_places(size, inner)[:, None]
    distance = np.abs(at.clip(0, inner - 1) - np.arange(inner))
    weights: Array = np.where(at > inner - 0.5, 0, np.maximum(0, 1 - distance))
    return weights


def _seen(size: int, inner: int) -> Array:
    """Which elements of the top the gradient of a place sees: (size, inner)."""
    ratio = np.float32(inner) / np.float32(size)
    first = np.floor(np.arange(inner, dtype=np.float32) / ratio)
    index = np.arange(size)[:, None]
    return np.asarray((index == first) | (index == first + 1))

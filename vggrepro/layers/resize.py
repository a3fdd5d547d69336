"""Resize: bilinear resizing in which the first corner stays a corner (layer of happynear and others; not from
BVLC Caffe).

Sources: happynear/caffe-windows and xiaolonw/caffe-3dnormal_joint_pose, field ``resize_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    register,
)
from vggrepro.layers.rules.resizing import first_corner_places


@register
@dataclass(frozen=True)
class Resize(Layer[Shape]):
    """Bottom (N, C, H, W), top (N, C, H', W'): row i of the top lies at ``i * H / H'`` of the bottom, columns
    likewise. Beyond the last row and column there are zeros, so that values fade there.

    H' and W' are ``height`` and ``width``, or with ``is_pyramid_test`` the bottom's sizes times
    ``out_height_scale`` and ``out_width_scale``, rounded down.
    """

    type = "Resize"
    origin = "happynear, xiaolonw"

    size: tuple[int, int]
    """0 where a factor tells it."""
    factors: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Resize:
        p = param.resize_param
        names = ("out_height_scale", "out_width_scale") if p.is_pyramid_test else ("height", "width")
        for name in names:
            if getattr(p, name) <= 0:
                raise NetError(f"resize_param: {name} must be given and above 0")
        if p.is_pyramid_test:
            return cls((0, 0), (p.out_height_scale, p.out_width_scale))
        return cls((p.height, p.width))

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset({2, 3})

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = bottoms
        if len(x) != 4:
            raise ShapeError(f"Resize: bottom[0] must be (N, C, H, W), got shape {x}")
        sizes = self._sizes(x[2:])
        if min(sizes) < 1:
            raise ShapeError(f"resize_param: the factors leave nothing of shape {x}")
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
        rows, columns = map(_shares, self._sizes(inner), inner)
        top = g.op("MatMul", g.const(rows), g.op("MatMul", x.name, g.const(columns.T)))
        return Emitted((top,), inner)

    def grad(self, g: GraphBuilder, saved: Shape, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None,))
        rows, columns = map(_shares, self._sizes(saved), saved)
        across = g.op("MatMul", d_tops[0], g.const(columns))
        return Gradients((g.op("MatMul", g.const(rows.T), across),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        for axis in (2, 3):
            at = first_corner_places(shape[axis], x.shape[axis])
            low = np.floor(at).astype(int)
            share = (at - low).reshape((-1,) + (1,) * (3 - axis))
            behind = np.pad(x, [(0, int(a == axis)) for a in range(4)])
            x = behind.take(low, axis) * (1 - share) + behind.take(low + 1, axis) * share
        return Referenced((x,))


def _shares(size: int, inner: int) -> Array:
    """How ``size`` elements are made of ``inner`` ones: (size, inner)."""
    distance: Array = np.abs(first_corner_places(size, inner)[:, None] - np.arange(inner))
    shares: Array = np.maximum(0, 1 - distance)
    return shares

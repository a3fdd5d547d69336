"""Norm: vectors of channels divided by their lengths (a layer of forks; not from BVLC Caffe).

Sources: ``norm_layer.cpp`` of xiaolonw/caffe-video_triplet, sanpingzhou/Person-Re-ID and
rainsoulsrx/caffe_srx; without fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
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
from vggrepro.layers.rules.loss import check_legacy, shaped_like

EPSILON = 1e-6


class _Saved(NamedTuple):
    x: Value
    planes: str
    """x with four axes."""
    squares: str
    """(N, 1, H, W): the sums of squares."""
    length: str
    """Their roots."""


@register
@dataclass(frozen=True)
class Norm(Layer[_Saved]):
    """Bottom (N, C), (N, C, H) or (N, C, H, W), top (N, C, H, W): at each place the vector of channels
    divided by ``sqrt(sum(x^2)) + 1e-6``. Heights and widths that the bottom lacks are 1."""

    type = "Norm"
    origin = "xiaolonw"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Norm:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = bottoms
        check_legacy(x)
        return ((*x, *[1] * (4 - len(x))),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        planes = x.name if x.rank == 4 else g.op("Unsqueeze", x.name, g.ints(range(x.rank, 4)))
        squares = g.op("ReduceSumSquare", planes, g.ints([1]))
        length = g.op("Sqrt", squares)
        top = g.op("Div", planes, g.op("Add", length, g.const(EPSILON)))
        return Emitted((top,), _Saved(x, planes, squares, length))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The forks' rule, ``(s dy - x sum(x dy)) / (s^1.5 + 1e-6)`` with s the sum of squares: calculus but
        for the 1e-6, and 0 where x is 0."""
        (dy,) = d_tops
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        total = g.op("ReduceSum", g.op("Mul", saved.planes, dy), g.ints([1]))
        across = g.op("Sub", g.op("Mul", saved.squares, dy), g.op("Mul", saved.planes, total))
        cube = g.op("Add", g.op("Mul", saved.squares, saved.length), g.const(EPSILON))
        dims = (*saved.x.dims, *[1] * (4 - saved.x.rank))
        return Gradients((shaped_like(g, Value(g.op("Div", across, cube), dims), saved.x),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0].reshape(self.out_shapes([bottoms[0].shape])[0])
        return Referenced((x / (np.sqrt((x**2).sum(1, keepdims=True)) + EPSILON),))

"""SoftAttention: the sum of an image's places, each with a weight of its own (not from BVLC Caffe).

Source: BVLC/caffe, in a branch for "Show, Attend and Tell" (Xu et al. 2015, equation 13) that the authors of
"Multimodal Compact Bilinear Pooling" used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
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
    exactly,
    register,
)


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    beta: str
    """(N, 1, 1, 1)."""
    sums: str
    """What beta is multiplied with, (N, C, 1, 1)."""


@register
@dataclass(frozen=True)
class SoftAttention(Layer[_Saved]):
    """Bottoms: a (N, C, H, W), the weights alpha (N, 1, H, W) of its places, and a factor beta for each
    image, N numbers. Top (N, C, 1, 1): ``beta`` times the sum of ``alpha * a`` over the places."""

    type = "SoftAttention"
    origin = "Show, Attend and Tell"
    bottoms = exactly(3)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SoftAttention:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        a, alpha, beta = bottoms
        if len(a) != 4 or alpha != (a[0], 1, *a[2:]):
            raise ShapeError(f"expected a (N, C, H, W) and alpha (N, 1, H, W), got shapes {a} and {alpha}")
        if prod(beta) != a[0]:
            raise ShapeError(f"bottom[2]->count() == bottom[1]->num() ({prod(beta)} vs. {a[0]})")
        return ((*a[:2], 1, 1),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        a, alpha, beta = bottoms
        factors = g.op("Reshape", beta.name, g.ints([-1, 1, 1, 1]))
        sums = g.op("ReduceSum", g.op("Mul", a.name, alpha.name), g.ints([2, 3]))
        return Emitted((g.op("Mul", factors, sums),), _Saved(tuple(bottoms), factors, sums))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None:
            return Gradients((None, None, None))
        a, alpha, beta = saved.bottoms
        scaled = g.op("Mul", dy, saved.beta)
        d_a = d_alpha = d_beta = None
        if needed.bottoms[0]:
            d_a = g.op("Mul", scaled, alpha.name)
        if needed.bottoms[1]:
            d_alpha = g.op("ReduceSum", g.op("Mul", scaled, a.name), g.ints([1]))
        if needed.bottoms[2]:
            sums = g.op("ReduceSum", g.op("Mul", dy, saved.sums), g.ints([1]))
            d_beta = g.op("Reshape", sums, g.op("Shape", beta.name))
        return Gradients((d_a, d_alpha, d_beta))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, alpha, beta = bottoms
        sums = np.einsum("nchw,nhw->nc", a, alpha[:, 0])
        return Referenced(((beta.reshape(-1, 1) * sums)[:, :, None, None],))

"""EuclideanLoss: ``sum((a - b)^2) / (2 N)`` (Caffe's EuclideanLoss layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import LossLayer, check_first_sizes, check_legacy, count, shaped_like


@dataclass(frozen=True)
class DifferenceOfBottoms:
    """What backward needs: ``a - b``, the number of items, and both bottoms."""

    difference: str
    number: str
    bottoms: tuple[Value, Value]


@register
@dataclass(frozen=True)
class EuclideanLoss(LossLayer[DifferenceOfBottoms]):
    """Bottoms: two blobs (N, ...) with equally many elements. Both get a gradient."""

    type = "EuclideanLoss"
    blind_bottoms = frozenset()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> EuclideanLoss:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        sizes = [math.prod(b[1:]) for b in bottoms]
        if sizes[0] != sizes[1]:
            raise ShapeError(f"Inputs must have the same dimension. ({sizes[0]} vs. {sizes[1]})")
        for bottom in bottoms:
            check_legacy(bottom)
        return ((),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[DifferenceOfBottoms]:
        a, b = bottoms
        difference = g.op("Sub", a.name, shaped_like(g, b, a))
        number = count(g, a, 0, 1)
        total = g.op("ReduceSumSquare", difference, keepdims=0)
        loss = g.op("Div", total, g.op("Mul", number, g.const(2)))
        return Emitted((loss,), DifferenceOfBottoms(difference, number, (a, b)))

    def grad(
        self, g: GraphBuilder, saved: DifferenceOfBottoms, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        weight = d_tops[0]
        if weight is None or not any(needed.bottoms):
            return Gradients((None, None))
        a, b = saved.bottoms
        d_a = g.op("Mul", saved.difference, g.op("Div", weight, saved.number))
        if not needed.bottoms[1]:
            return Gradients((d_a, None))
        d_b = shaped_like(g, Value(g.op("Neg", d_a), a.dims), b)
        return Gradients((d_a if needed.bottoms[0] else None, d_b))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, b = bottoms
        return Referenced((((a.reshape(-1) - b.reshape(-1)) ** 2).sum() / (2 * len(a)),))

"""EuclideanLoss divided by the number of elements, with a factor for each (naibaf7's rule; not from BVLC
Caffe).

Source: naibaf7/caffe, ``euclidean_loss_layer.cpp``, which trains nets of volumes; no field of it tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Count, Emitted, Gradients, Needed, Referenced, Shapes
from vggrepro.layers.rules.loss import LossLayer, check_first_sizes, count, shaped_like


class ScaledDifference(NamedTuple):
    """What backward needs: ``s (a - b)``, the number of elements, and the first two bottoms."""

    difference: str
    number: str
    bottoms: tuple[Value, Value]


@dataclass(frozen=True)
class EuclideanLossOfElements(LossLayer[ScaledDifference]):
    """``sum((s (a - b))^2) / (2 count)``. Bottoms: a and b (N, ...) with equally many elements, and factors s
    of as many, or none. Top: the loss (). Stands in for EuclideanLoss.

    As in the fork a gets ``s (a - b) / count``, which is the derivative for factors 0 and 1 alone, and s gets
    nothing.
    """

    type = "EuclideanLoss of elements"
    origin = "naibaf7"
    bottoms = Count(2, 3)
    blind_bottoms = frozenset({2})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> EuclideanLossOfElements:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms[:2])
        sizes = [math.prod(shape) for shape in bottoms]
        if len(set(sizes)) > 1:
            raise ShapeError(f"Inputs must have the same dimension: {sizes} elements in {list(bottoms)}")
        return ((),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[ScaledDifference]:
        a, b, *factors = bottoms
        difference = g.op("Sub", a.name, shaped_like(g, b, a))
        for factor in factors:
            difference = g.op("Mul", difference, shaped_like(g, factor, a))
        number = count(g, a, 0, None)
        total = g.op("ReduceSumSquare", difference, keepdims=0)
        loss = g.op("Div", total, g.op("Mul", number, g.const(2)))
        return Emitted((loss,), ScaledDifference(difference, number, (a, b)))

    def grad(
        self, g: GraphBuilder, saved: ScaledDifference, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        rest = [None] * (len(needed.bottoms) - 2)
        if d_tops[0] is None or not any(needed.bottoms[:2]):
            return Gradients((None, None, *rest))
        a, b = saved.bottoms
        d_a = g.op("Mul", saved.difference, g.op("Div", d_tops[0], saved.number))
        d_b = shaped_like(g, Value(g.op("Neg", d_a), a.dims), b) if needed.bottoms[1] else None
        return Gradients((d_a if needed.bottoms[0] else None, d_b, *rest))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, b, *factors = (bottom.reshape(-1) for bottom in bottoms)
        scaled = (a - b) * (factors[0] if factors else 1)
        return Referenced(((scaled**2).sum() / (2 * a.size),))

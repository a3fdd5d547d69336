"""Losses that sum a function of each difference of two blobs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes
from vggrepro.layers.rules.loss import LossLayer, check_first_sizes, count, shaped_like


class Differences(NamedTuple):
    difference: str
    number: str
    """What the sum is divided by, ()."""


class DifferenceLoss(LossLayer[Differences]):
    """Bottoms: predictions and labels (N, ...) with equally many elements. Top: the loss (), a sum over N, or
    over the number of elements. Labels get no gradient."""

    by_element: ClassVar[bool] = False
    """Whether the sum is divided by the number of elements."""

    @abstractmethod
    def losses(self, g: GraphBuilder, size: str) -> str:
        """The loss of each difference, from its absolute value."""

    @abstractmethod
    def slope(self, g: GraphBuilder, difference: str) -> str:
        """How the loss of each difference grows with it."""

    @abstractmethod
    def exact(self, size: Array) -> Array:
        """:meth:`losses` in float64."""

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        if prod(bottoms[0]) != prod(bottoms[1]):
            raise ShapeError(f"Inputs must have the same dimension. ({bottoms[0]} vs. {bottoms[1]})")
        return ((),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Differences]:
        a, b = bottoms
        difference = g.op("Sub", a.name, shaped_like(g, b, a))
        number = count(g, a, 0, None if self.by_element else 1)
        total = g.op("ReduceSum", self.losses(g, g.op("Abs", difference)), keepdims=0)
        return Emitted((g.op("Div", total, number),), Differences(difference, number))

    def grad(
        self, g: GraphBuilder, saved: Differences, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        weight = g.op("Div", d_tops[0], saved.number)
        return Gradients((g.op("Mul", self.slope(g, saved.difference), weight), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, b = bottoms
        total = self.exact(np.abs(a - b.reshape(a.shape))).sum()
        return Referenced((total / (a.size if self.by_element else len(a)),))

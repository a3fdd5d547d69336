"""Sum: blobs added, whatever their shapes (R*CNN's layer; not from BVLC Caffe).

Source: gkioxari/RstarCNN. Other forks have layers of this name that sum over an axis of one bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    at_least,
    register,
)
from vggrepro.layers.rules.loss import shaped_like


@register
@dataclass(frozen=True)
class Sum(Layer[tuple[Value, ...]]):
    """Two bottoms or more with equally many elements; the top has the first one's shape."""

    type = "Sum"
    origin = "R*CNN"
    bottoms = at_least(2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Sum:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        first, *others = bottoms
        for other in others:
            if math.prod(other) != math.prod(first):
                raise ShapeError(f"Sum: bottoms must have equally many elements, got {first} and {other}")
        return (first,)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[Value, ...]]:
        first, *others = bottoms
        total = g.op("Sum", first.name, *(shaped_like(g, other, first) for other in others))
        return Emitted((total,), tuple(bottoms))

    def grad(
        self, g: GraphBuilder, saved: tuple[Value, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None:
            return Gradients((None,) * len(saved))
        top = Value(dy, saved[0].dims)
        wanted = zip(saved, needed.bottoms, strict=True)
        return Gradients(tuple(shaped_like(g, top, b) if need else None for b, need in wanted))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        first, *others = bottoms
        return Referenced((first + sum(other.reshape(first.shape) for other in others),))

"""Split: one blob for several consumers (Caffe's Split layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
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


@register
@dataclass(frozen=True)
class Split(Layer[None]):
    """Every top is the bottom itself; its gradient is the sum of the tops' gradients."""

    type = "Split"
    moves_values = True
    tops = at_least(1)

    count: int = 1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Split:
        return cls(count=len(param.top))

    @classmethod
    def replacing(cls, definition: Any) -> Any:
        """The ``LayerParameter`` of a Split in place of a layer whose top has its bottom's values: the one of
        that layer, without the parameters of its type."""
        result = type(definition)()
        result.CopyFrom(definition)
        result.type = cls.type
        for field, _ in definition.ListFields():
            if field.name.endswith("_param"):
                result.ClearField(field.name)
        return result

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (bottoms[0],) * self.count

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        return Emitted((bottoms[0].name,) * self.count, None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        arrived = [d for d in d_tops if d is not None]
        if not arrived:
            return Gradients((None,))
        return Gradients((g.sum_in_order(arrived),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((bottoms[0],) * self.count)

"""Filter: the items that a selector marks (Caffe's Filter layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vggrepro.emit import BOOL, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
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


class _Saved(NamedTuple):
    items: tuple[Value, ...]
    marks: str
    """Which items stay: bool (N,)."""


@register
@dataclass(frozen=True)
class Filter(Layer[_Saved]):
    """Items n of each bottom but the last, where the last bottom, the selector (N, 1, ...), is not 0.

    How many rows the tops have is known only when the graph runs; their declared shape is Caffe's
    before the first pass, all N. An item that is left out has a gradient of zeros; the selector
    has none.
    """

    type = "Filter"
    bottoms = at_least(2)
    tops = at_least(1)

    items: int = 1
    """How many bottoms are filtered: all but the last."""

    @property
    def blind_bottoms(self) -> frozenset[int]:
        return frozenset({self.items})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Filter:
        if len(param.top) != len(param.bottom) - 1:
            raise NetError(
                "top.size() == bottom.size() - 1"
                f" ({len(param.top)} vs. {len(param.bottom) - 1}): one top for each bottom but the selector"
            )
        return cls(items=len(param.top))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        *items, selector = bottoms
        if any(size != 1 for size in selector[1:]):
            raise ShapeError(
                f"Selector blob dimensions must be singletons (1), except the first; got {selector}"
            )
        for shape in items:
            if shape[:1] != selector[:1]:
                raise ShapeError(
                    "Each bottom should have the same 0th dimension as the selector blob;"
                    f" got {shape} and {selector}"
                )
        return tuple(items)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        *items, selector = bottoms
        marks = g.op("Cast", g.op("Reshape", selector.name, g.ints([-1])), to=BOOL)
        tops = tuple(g.op("Compress", item.name, marks, axis=0) for item in items)
        return Emitted(tops, saved=_Saved(tuple(items), marks))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Item n takes row (marks before n) of ``dy`` if marked, else a row of zeros at its end."""
        items, marks = saved
        rank = g.op("CumSum", g.op("Cast", marks, to=INT64), g.ints(0))
        rows = g.op("Where", marks, g.op("Sub", rank, g.ints(1)), g.ints(-1))
        gradients: list[str | None] = []
        for item, dy, wanted in zip(items, d_tops, needed.bottoms, strict=False):
            if dy is None or not wanted:
                gradients.append(None)
                continue
            zeros = g.op("ConstantOfShape", g.ints([1, *item.shape[1:]]))
            gradients.append(g.op("Gather", g.op("Concat", dy, zeros, axis=0), rows, axis=0))
        return Gradients((*gradients, None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        *items, selector = bottoms
        return Referenced(tuple(item[selector.reshape(-1) != 0] for item in items))

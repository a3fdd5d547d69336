"""BatchReindex: items picked by index (Caffe's BatchReindex layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels

_NO_INDEX = 2**31 - 1


class _Saved(NamedTuple):
    items: Value
    places: str
    """The picked items' numbers, int64 (M,)."""


@register
@dataclass(frozen=True)
class BatchReindex(Layer[_Saved]):
    """Item n of the top is item ``index[n]`` of the bottom (N, ...); ``index`` (M,) is the second
    bottom. An item may be picked often or never: its gradient is the sum over its uses."""

    type = "BatchReindex"
    moves_values = True
    bottoms = exactly(2)
    blind_bottoms = frozenset({1})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> BatchReindex:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        items, index = bottoms
        if len(index) != 1:
            raise ShapeError(f"1 == bottom[1]->num_axes() (1 vs. {len(index)}): the index blob has one axis")
        return ((index[0], *items[1:]),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, bottoms[0][0])

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        items, index = bottoms
        whole = g.op("Cast", index.name, to=INT64)
        # Caffe stops at a negative index, where Gather would count from the end: let that stop too.
        negative = g.op("Less", index.name, g.const(0))
        places = g.op("Where", negative, g.ints(_NO_INDEX), whole)
        return Emitted((g.op("Gather", items.name, places, axis=0),), saved=_Saved(items, places))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The transposed one-hot matrix of the picks, times ``dy``: a sum in a fixed order."""
        items, places = saved
        (dy,) = d_tops
        assert dy is not None
        shape = items.shape
        numbers = g.const(np.arange(shape[0])[:, None], np.int64)
        picks = g.op("Cast", g.op("Equal", numbers, places), to=FLOAT)  # (N, M)
        rows = g.op("Flatten", dy, axis=1)  # (M, inner)
        return Gradients((g.op("Reshape", g.op("MatMul", picks, rows), g.ints(shape)), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        items, index = bottoms
        if (index < 0).any():
            raise NetError("Index specified for reindex layer was negative.")
        if (index >= len(items)).any():
            raise NetError("Index specified for reindex layer was greater than batch size.")
        return Referenced((items[index.astype(np.int64)],))

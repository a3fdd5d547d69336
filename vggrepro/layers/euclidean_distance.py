"""EuclideanDistance: how far points in space are from others (a layer of guided policy search; not from BVLC
Caffe).

Source: zobot/caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Layer, Referenced, Shapes, exactly, register


@register
@dataclass(frozen=True)
class EuclideanDistance(Layer[None]):
    """Bottoms: two blobs of points, each three numbers, (N, 3 K) or with axes of size 1 behind. Top
    (1, 1, 1, 1): the mean distance of the N K pairs."""

    type = "EuclideanDistance"
    origin = "guided policy search"
    bottoms = exactly(2)
    has_gradient = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> EuclideanDistance:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        first, second = bottoms
        if first != second or len(first) < 2 or first[1] % 3 or any(size != 1 for size in first[2:]):
            raise ShapeError(
                f"EuclideanDistance: both bottoms must be (N, 3 K), got {tuple(first)} and {tuple(second)}"
            )
        return ((1, 1, 1, 1),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        between = g.op("Sub", *(bottom.name for bottom in bottoms))
        distances = g.op("ReduceL2", g.op("Reshape", between, g.ints([-1, 3])), g.ints([1]))
        return Emitted((g.op("Reshape", g.op("ReduceMean", distances), g.ints([1, 1, 1, 1])),), saved=None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        between = (bottoms[0] - bottoms[1]).reshape(-1, 3)
        return Referenced((np.sqrt((between**2).sum(1)).mean().reshape(1, 1, 1, 1),))

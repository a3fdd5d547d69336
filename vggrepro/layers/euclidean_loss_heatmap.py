"""EuclideanLossHeatmap: the mean of squared differences of heatmaps (a fork's loss; not from BVLC Caffe).

Source: tpfister/caffe-heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)


@register
@dataclass(frozen=True)
class EuclideanLossHeatmap(Layer[str]):
    """Bottoms: heatmaps, and the right ones, both (N, C, H, W); the fork can show a third bottom on the
    screen, and nothing is done with it here. Top: the loss (), the mean over all elements.

    As in the fork the gradient is the difference itself, whatever the loss weight is: it is neither divided
    by the number of elements, nor multiplied by the weight.

    DEVIATION: the right heatmaps get no gradient, where the fork gives them that of the others.
    """

    type = "EuclideanLossHeatmap"
    origin = "caffe-heatmap"
    bottoms = Count(2, 3)
    loss = True
    blind_bottoms = frozenset({1, 2})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> EuclideanLossHeatmap:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) != 4 or bottoms[0] != bottoms[1]:
            raise ShapeError(
                "EuclideanLossHeatmap: bottoms must be heatmaps (N, C, H, W) of one shape, got"
                f" {bottoms[0]} and {bottoms[1]}"
            )
        return ((),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[str]:
        difference = g.op("Sub", bottoms[0].name, bottoms[1].name)
        loss = g.op("ReduceMean", g.op("Mul", difference, difference), keepdims=0)
        return Emitted((loss,), difference)

    def grad(self, g: GraphBuilder, saved: str, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        first = saved if d_tops[0] is not None and needed.bottoms[0] else None
        return Gradients((first, *[None] * (len(needed.bottoms) - 1)))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((((bottoms[0] - bottoms[1]) ** 2).mean(),))

"""EuclideanLossLayer: EuclideanLoss as an example of Python layers has it (not from BVLC Caffe's own layers).

Source: ``examples/pycaffe/layers/pyloss.py`` of BVLC Caffe, module ``pyloss``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.euclidean_loss import DifferenceOfBottoms, EuclideanLoss


@register
@dataclass(frozen=True)
class EuclideanLossLayer(EuclideanLoss):
    """Bottoms: two blobs with equally many elements, of which the first tells N. Top: (1,), whose
    ``loss_weight`` is 0 unless it is given, as of every Python layer.

    DEVIATION: the example's backward pass leaves the loss weight out. Here it counts, as in EuclideanLoss.
    """

    type = "EuclideanLossLayer"
    origin = "BVLC's pycaffe example"
    loss = False

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if prod(bottoms[0]) != prod(bottoms[1]):
            raise ShapeError(f"Inputs must have the same dimension. ({bottoms[0]} vs. {bottoms[1]})")
        return ((1,),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[DifferenceOfBottoms]:
        emitted = super().emit(g, bottoms, params, states)
        return Emitted((g.op("Reshape", emitted.tops[0], g.ints([1])),), emitted.saved)

    def grad(
        self, g: GraphBuilder, saved: DifferenceOfBottoms, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        weight = None if d_tops[0] is None else g.op("Squeeze", d_tops[0], g.ints([0]))
        return super().grad(g, saved, (weight,), needed)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (loss,) = super().reference(bottoms, params, states).tops
        return Referenced((loss.reshape(1),))

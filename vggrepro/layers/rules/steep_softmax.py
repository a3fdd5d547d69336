"""Losses whose gradient is that of SoftmaxWithLoss, steeper or flatter for each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Gradients, Needed
from vggrepro.layers.rules.loss import ClassIndex, LossLayer


class SavedSoftmax(NamedTuple):
    prob: str
    labels: ClassIndex
    steepness: str
    """For each label, what multiplies the gradient of its cross entropy."""
    divisor: str


class SteepSoftmax(LossLayer[SavedSoftmax]):
    """The gradient of scores, along ``axis``; none goes to other bottoms, and none enters through
    probabilities."""

    axis: int

    def grad(
        self, g: GraphBuilder, saved: SavedSoftmax, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        others = len(needed.bottoms) - 1
        for bottom, what in zip(range(1, others + 1), ("label", "weight"), strict=False):
            self.refuse(needed, bottom, what)
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,) * (1 + others))
        index, axis = saved.labels.index, self.axis
        own = g.op("GatherElements", saved.prob, index, axis=axis)
        missing = g.op("Sub", own, g.const(1))
        difference = g.op("ScatterElements", saved.prob, index, missing, axis=axis)
        steepness = g.op("Mul", saved.steepness, g.op("Div", d_tops[0], saved.divisor))
        d_scores = saved.labels.counted(g, g.op("Mul", difference, steepness))
        return Gradients((d_scores, *[None] * others))

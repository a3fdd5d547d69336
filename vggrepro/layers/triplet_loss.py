"""TripletLoss: positives nearer than negatives, by a margin (forks' loss; not from BVLC Caffe).

Sources: BVLC's pull request 2603, happynear/caffe-windows, sanpingzhou/Person-Re-ID and others that agree,
field ``triplet_loss_param``. "FaceNet: A Unified Embedding for Face Recognition and Clustering", equation 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.loss import (
    LossLayer,
    check_first_sizes,
    check_ones,
    count,
    instances,
    shaped_like,
)


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    rows: tuple[Value, ...]
    """Anchors, positives and negatives as (N, C)."""
    counts: str
    """Which triplets count, bool (N, 1)."""
    number: str


@register
@dataclass(frozen=True)
class TripletLoss(LossLayer[_Saved]):
    """Bottoms: anchors, positives and negatives (N, C). The loss is ``sum(max(0, margin + |a - p|^2 - |a -
    n|^2)) / (2 N)``; all three get gradients.

    Forks have other losses of this name, which take other bottoms: features and labels, or weights as a
    fourth. They are refused. So is a net that leaves the margin to the fork's default.
    """

    type = "TripletLoss"
    origin = "Triplet loss forks"
    bottoms = exactly(3)
    blind_bottoms = frozenset()

    margin: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> TripletLoss:
        if len(param.bottom) not in (0, 3):
            raise UnsupportedError(
                f"TripletLoss of {len(param.bottom)} bottoms: forks differ, and only that of three (anchors,"
                " positives, negatives) is implemented"
            )
        if not param.triplet_loss_param.HasField("margin"):
            raise UnsupportedError(
                "triplet_loss_param: margin must be given, as forks have different defaults"
            )
        return cls(param.triplet_loss_param.margin)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        for index in range(3):
            check_ones(bottoms, index, "height", "width")
        if len({bottom[:2] for bottom in map(tuple, bottoms)}) > 1:
            raise ShapeError(f"anchors, positives and negatives must have one shape, got {tuple(bottoms)}")
        return ((),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        rows = tuple(instances(g, bottom) for bottom in bottoms)
        anchor, positive, negative = (row.name for row in rows)
        near = g.op("ReduceSumSquare", g.op("Sub", anchor, positive), g.ints([1]))  # (N, 1)
        far = g.op("ReduceSumSquare", g.op("Sub", anchor, negative), g.ints([1]))
        excess = g.op("Add", g.op("Sub", near, far), g.const(self.margin))
        number = count(g, bottoms[0], 0, 1)
        total = g.op("ReduceSum", g.op("Relu", excess), keepdims=0)
        loss = g.op("Div", total, g.op("Mul", number, g.const(2)))
        counts = g.op("Greater", excess, g.const(0))
        return Emitted((loss,), _Saved(tuple(bottoms), rows, counts, number))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None,) * 3)
        anchor, positive, negative = (row.name for row in saved.rows)
        weight = g.op("Where", saved.counts, g.op("Div", d_tops[0], saved.number), g.const(0))
        differences = ((negative, positive), (positive, anchor), (anchor, negative))
        gradients = [
            shaped_like(g, Value(g.op("Mul", g.op("Sub", *pair), weight), row.dims), bottom)
            if wanted
            else None
            for pair, row, bottom, wanted in zip(
                differences, saved.rows, saved.bottoms, needed.bottoms, strict=True
            )
        ]
        return Gradients(tuple(gradients))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        anchor, positive, negative = (bottom.reshape(len(bottom), -1) for bottom in bottoms)
        near, far = (np.square(anchor - other).sum(axis=1) for other in (positive, negative))
        return Referenced((np.maximum(0, self.margin + near - far).sum() / (2 * len(anchor)),))

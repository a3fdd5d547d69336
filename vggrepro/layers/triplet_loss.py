"""TripletLoss, TripletRankingHingeLoss: positives nearer than negatives, by a margin (forks' losses; not from
BVLC Caffe).

Sources: BVLC's pull request 2603, happynear/caffe-windows, sanpingzhou/Person-Re-ID and others that agree,
field ``triplet_loss_param``; huangyangyu/SeqFace and glbing/mycaffe for weights of triplets; an older fork
for the field ``threshold_param``. "FaceNet: A Unified Embedding for Face Recognition and Clustering",
equation 3. FuchenUSTC/caffe-hash and HYPJUDY/caffe-dnnh for TripletRankingHingeLoss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Needed,
    Referenced,
    Shapes,
    exactly,
    register,
)
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
    weight: str | None
    """(N, 1)."""


@register
@dataclass(frozen=True)
class TripletLoss(LossLayer[_Saved]):
    """Bottoms: anchors, positives and negatives (N, C), and perhaps a weight for each triplet, (N,) or
    (N, 1). The loss is ``sum(w max(0, margin + |a - p|^2 - |a - n|^2)) / (2 N)``; the first three get
    gradients. ``threshold_param { threshold }`` stands for the margin too; then the first three may have any
    axes behind the first, (N, ...), of which all count.

    Forks have other losses of this name, of two bottoms: features with their labels, or features with the
    triplets that another layer found. They are refused. So is a net that leaves the margin to the fork's
    default.
    """

    type = "TripletLoss"
    origin = "Triplet loss forks"
    bottoms = Count(3, 4)
    blind_bottoms = frozenset({3})

    margin: float
    any_axes: bool = False
    """Whether the first three bottoms may have a height and a width."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> TripletLoss:
        if len(param.bottom) not in (0, 3, 4):
            raise UnsupportedError(
                f"TripletLoss of {len(param.bottom)} bottoms: forks differ (features and labels, features and"
                " triplets); only that of anchors, positives, negatives, and perhaps weights, is implemented"
            )
        if param.triplet_loss_param.HasField("margin"):
            return cls(param.triplet_loss_param.margin)
        if param.HasField("threshold_param"):
            return cls(param.threshold_param.threshold, any_axes=True)
        raise UnsupportedError("triplet_loss_param: margin must be given, as forks have different defaults")

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        for index in () if self.any_axes else range(3):
            check_ones(bottoms, index, "height", "width")
        axes = None if self.any_axes else 2
        if len({bottom[:axes] for bottom in map(tuple, bottoms[:3])}) > 1:
            raise ShapeError(f"anchors, positives and negatives must have one shape, got {tuple(bottoms)}")
        if len(bottoms) == 4 and prod(bottoms[3]) != bottoms[0][0]:
            raise ShapeError(f"bottom[3] must hold a weight for each triplet, got shape {bottoms[3]}")
        return ((),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        rows = tuple(instances(g, bottom) for bottom in bottoms[:3])
        anchor, positive, negative = (row.name for row in rows)
        near = g.op("ReduceSumSquare", g.op("Sub", anchor, positive), g.ints([1]))  # (N, 1)
        far = g.op("ReduceSumSquare", g.op("Sub", anchor, negative), g.ints([1]))
        excess = g.op("Add", g.op("Sub", near, far), g.const(self.margin))
        number = count(g, bottoms[0], 0, 1)
        weight = g.op("Reshape", bottoms[3].name, g.ints([-1, 1])) if len(bottoms) == 4 else None
        lost = g.op("Relu", excess)
        lost = lost if weight is None else g.op("Mul", lost, weight)
        loss = g.op("Div", g.op("ReduceSum", lost, keepdims=0), g.op("Mul", number, g.const(2)))
        counts = g.op("Greater", excess, g.const(0))
        return Emitted((loss,), _Saved(tuple(bottoms), rows, counts, number, weight))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None,) * len(saved.bottoms))
        anchor, positive, negative = (row.name for row in saved.rows)
        weight = g.op("Where", saved.counts, g.op("Div", d_tops[0], saved.number), g.const(0))
        weight = weight if saved.weight is None else g.op("Mul", weight, saved.weight)
        differences = ((negative, positive), (positive, anchor), (anchor, negative))
        gradients = [
            shaped_like(g, Value(g.op("Mul", g.op("Sub", *pair), weight), row.dims), bottom)
            if wanted
            else None
            for pair, row, bottom, wanted in zip(
                differences, saved.rows, saved.bottoms, needed.bottoms, strict=False
            )
        ]
        return Gradients((*gradients, *[None] * (len(saved.bottoms) - 3)))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        anchor, positive, negative = (bottom.reshape(len(bottom), -1) for bottom in bottoms[:3])
        near, far = (np.square(anchor - other).sum(axis=1) for other in (positive, negative))
        lost = np.maximum(0, self.margin + near - far) * (bottoms[3].reshape(-1) if bottoms[3:] else 1)
        return Referenced((lost.sum() / (2 * len(anchor)),))


@register
@dataclass(frozen=True)
class TripletRankingHingeLoss(TripletLoss):
    """Bottoms: the codes of anchors, positives and negatives, (N, ``dim``). Top: the mean over N of
    ``max(0, margin + |a - p|^2 - |a - n|^2)``. The gradient is twice the mean's, whatever ``loss_weight``
    says, as in the forks.

    A layer of this name in puzzledqs/caffe, with a second top and ``norm`` in place of ``dim``, sums up with
    other gradients, and is refused. So is a net that leaves ``margin`` to the fork's default.
    """

    type = "TripletRankingHingeLoss"
    origin = "Deep hashing forks"
    bottoms = exactly(3)

    dim: int = 0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> TripletRankingHingeLoss:
        p = param.triplet_ranking_hinge_loss_param
        if len(param.top) > 1 or p.HasField("norm") or not p.HasField("dim"):
            raise UnsupportedError(
                "triplet_ranking_hinge_loss_param: forks differ; only that with a dim and without norm and a"
                " second top is implemented"
            )
        if not p.HasField("margin"):
            raise UnsupportedError("triplet_ranking_hinge_loss_param: margin must be given")
        return cls(p.margin, dim=p.dim)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        tops = super().out_shapes(bottoms)
        if bottoms[0][1:2] != (self.dim,):
            raise ShapeError(f"codes must have {self.dim} channels, got shape {bottoms[0]}")
        return tops

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        half = super().emit(g, bottoms, params, states)
        return replace(half, tops=(g.op("Mul", half.tops[0], g.const(2)),))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return super().grad(g, saved, [None if d_tops[0] is None else g.const(4)], needed)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((2 * super().reference(bottoms, params, states).tops[0],))

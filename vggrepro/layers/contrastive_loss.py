"""ContrastiveLoss: pulls similar pairs together and pushes others ``margin`` apart (Caffe's
ContrastiveLoss layer; Hadsell, Chopra and LeCun 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import (
    LossLayer,
    check_first_sizes,
    check_ones,
    count,
    instance_labels,
    instances,
    legacy_size,
    shaped_like,
)


@dataclass(frozen=True)
class _Saved:
    difference: str
    squared_distance: str
    similar: str
    number: str
    features: tuple[Value, Value]
    rows: Dims


@register
@dataclass(frozen=True)
class ContrastiveLoss(LossLayer[_Saved]):
    """Bottoms: features (N, C) twice, and a flag for each pair (N), similar if its integer part is
    not 0. The loss is ``1/(2N) sum(d^2)`` of similar pairs and ``1/(2N) sum(max(margin - d, 0)^2)`` of
    others, with the Euclidean distance d; the legacy version takes ``max(margin - d^2, 0)``."""

    type = "ContrastiveLoss"
    bottoms = exactly(3)
    blind_bottoms = frozenset({2})

    margin: float = 1.0
    legacy_version: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ContrastiveLoss:
        contrastive = param.contrastive_loss_param
        return cls(contrastive.margin, contrastive.legacy_version)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        a, b, flags = bottoms
        channels = [legacy_size(features, 1) for features in (a, b)]
        if channels[0] != channels[1]:
            raise ShapeError(
                f"bottom[0]->channels() == bottom[1]->channels() ({channels[0]} vs. {channels[1]})"
            )
        check_ones(bottoms, 0, "height", "width")
        check_ones(bottoms, 1, "height", "width")
        check_ones(bottoms, 2, "channels", "height", "width")
        check_first_sizes(bottoms)
        if legacy_size(flags, 0) < a[0]:
            raise ShapeError(f"{a[0]} pairs need as many similarity flags, got {legacy_size(flags, 0)}")
        return ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        """Every number but 0 says that a pair is similar."""
        return AllowedLabels(2, classes=None)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        a, b, flags = bottoms
        rows = instances(g, a)  # (N, C)
        difference = g.op("Sub", rows.name, instances(g, b).name)
        squared = g.op("ReduceSumSquare", difference, g.ints([1]))  # (N, 1)
        similar = g.op("Not", g.op("Equal", instance_labels(g, rows, flags), g.ints(0)))  # (N, 1)
        slack = g.op("Max", g.op("Sub", g.const(self.margin), self._measure(g, squared)), g.const(0))
        apart = slack if self.legacy_version else g.op("Mul", slack, slack)
        total = g.op("ReduceSum", g.op("Where", similar, squared, apart), keepdims=0)
        number = count(g, a, 0, 1)
        loss = g.op("Div", total, g.op("Mul", number, g.const(2)))
        return Emitted((loss,), _Saved(difference, squared, similar, number, (a, b), rows.dims))

    def _measure(self, g: GraphBuilder, squared: str) -> str:
        """What is compared with the margin."""
        return squared if self.legacy_version else g.op("Sqrt", squared)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """``alpha (a - b)`` for similar pairs with alpha = weight / N, ``-alpha (margin - d) / (d + 1e-4)
        (a - b)`` for others within the margin (legacy: ``-alpha (a - b)``): the 1e-4 is Caffe's.
        Other losses refuse to go back to their labels; Caffe leaves the flags out without a word."""
        weight = d_tops[0]
        if weight is None or not any(needed.bottoms[:2]):
            return Gradients((None, None, None))
        measure = self._measure(g, saved.squared_distance)
        slack = g.op("Sub", g.const(self.margin), measure)
        push = g.const(1) if self.legacy_version else g.op("Div", slack, g.op("Add", measure, g.const(1e-4)))
        apart = g.op("Where", g.op("Greater", slack, g.const(0)), g.op("Neg", push), g.const(0))
        factor = g.op("Where", saved.similar, g.const(1), apart)  # (N, 1)
        alpha = g.op("Div", weight, saved.number)
        d_a = g.op("Mul", saved.difference, g.op("Mul", factor, alpha))  # (N, C)
        a, b = saved.features
        d_b = shaped_like(g, Value(g.op("Neg", d_a), saved.rows), b) if needed.bottoms[1] else None
        return Gradients(
            (shaped_like(g, Value(d_a, saved.rows), a) if needed.bottoms[0] else None, d_b, None)
        )

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, b, flags = bottoms
        squared = ((a.reshape(len(a), -1) - b.reshape(len(a), -1)) ** 2).sum(axis=1)
        similar = np.trunc(flags.reshape(-1)[: len(a)]) != 0
        if self.legacy_version:
            apart = np.maximum(self.margin - squared, 0)
        else:
            apart = np.maximum(self.margin - np.sqrt(squared), 0) ** 2
        return Referenced((np.where(similar, squared, apart).sum() / (2 * len(a)),))

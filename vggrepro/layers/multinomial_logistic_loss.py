"""MultinomialLogisticLoss: ``-sum(log(p[label])) / N`` of probabilities p (Caffe's
MultinomialLogisticLoss layer; SoftmaxWithLoss is its stable relative)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import (
    LOG_THRESHOLD,
    LossLayer,
    check_first_sizes,
    check_legacy,
    check_ones,
    count,
    from_zero,
    instance_labels,
    instances,
    reference_instances,
    shaped_like,
)


@dataclass(frozen=True)
class _Saved:
    index: str
    prob_of_label: str
    number: str
    prob: Value
    rows: Value


@register
@dataclass(frozen=True)
class MultinomialLogisticLoss(LossLayer[_Saved]):
    """Bottoms: probabilities (N, ...) and labels (N, 1, 1, 1) or shorter, which count through all
    C*H*W probabilities of an instance. Below 1e-20 a probability counts as 1e-20."""

    type = "MultinomialLogisticLoss"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MultinomialLogisticLoss:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        check_ones(bottoms, 1, "channels", "height", "width")
        check_legacy(bottoms[0])
        return ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, math.prod(bottoms[0][1:]), read=bottoms[0][0])

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        prob, label = bottoms
        rows = instances(g, prob)  # (N, C*H*W)
        index = instance_labels(g, rows, label)  # (N, 1)
        picked = g.op("GatherElements", rows.name, index, axis=1)
        prob_of_label = g.op("Max", picked, g.const(LOG_THRESHOLD))
        number = count(g, prob, 0, 1)
        total = g.op("ReduceSum", g.op("Log", prob_of_label), keepdims=0)
        loss = g.op("Div", from_zero(g, total), number)
        return Emitted((loss,), _Saved(index, prob_of_label, number, prob, rows))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """``-weight / (N p)`` at the label; the clamped p divides, so it does not become 0 there."""
        self.refuse(needed, 1, "label")
        weight = d_tops[0]
        if weight is None or not needed.bottoms[0]:
            return Gradients((None, None))
        slope = g.op("Div", g.op("Neg", g.op("Div", weight, saved.number)), saved.prob_of_label)
        zeros = g.op("Expand", g.const(0), g.ints(saved.rows.shape))
        d_rows = g.op("ScatterElements", zeros, saved.index, slope, axis=1)
        return Gradients((shaped_like(g, Value(d_rows, saved.rows.dims), saved.prob), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        rows, label = reference_instances(*bottoms)
        picked = rows[np.arange(len(rows)), label]
        return Referenced((-np.log(np.maximum(picked, LOG_THRESHOLD)).sum() / len(rows),))

"""HingeLoss: ``sum(max(0, 1 - s x)^p) / N`` with s = 1 for the labelled element of an instance and
-1 for the others, p = 1 or 2 (Caffe's HingeLoss layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.element_count import axis_size
from vggrepro.layers.rules.loss import (
    LossLayer,
    check_first_sizes,
    check_legacy,
    count,
    instance_labels,
    instances,
    reference_instances,
    shaped_like,
)


@dataclass(frozen=True)
class _Saved:
    signs: str
    margins: str
    number: str
    scores: Value
    rows: Value


@register
@dataclass(frozen=True)
class HingeLoss(LossLayer[_Saved]):
    """Bottoms: scores (N, ...) and labels (N, ...). A label counts through all C*H*W scores of its
    instance, and only the first N labels are read, whatever the shapes say."""

    type = "HingeLoss"

    squared: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HingeLoss:
        hinge = param.hinge_loss_param
        return cls(squared=hinge.norm == hinge.L2)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        check_legacy(bottoms[0])
        return ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, math.prod(bottoms[0][1:]), read=bottoms[0][0])

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        scores, label = bottoms
        rows = instances(g, scores)  # (N, C*H*W)
        index = g.op("Squeeze", instance_labels(g, rows, label), g.ints([1]))
        depth = axis_size(g, rows.name, 1) if rows.dims[1] is None else g.ints(rows.dims[1])
        signs = g.op("OneHot", index, depth, g.const([1, -1]))  # what each score is multiplied by
        linear = g.op("Add", g.op("Mul", rows.name, signs), g.const(1))
        # Where and not Max: Caffe's max(0, NaN) is 0.
        margins = g.op("Where", g.op("Greater", linear, g.const(0)), linear, g.const(0))
        number = count(g, scores, 0, 1)
        total = g.op("ReduceSumSquare" if self.squared else "ReduceSum", margins, keepdims=0)
        return Emitted((g.op("Div", total, number),), _Saved(signs, margins, number, scores, rows))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        weight = d_tops[0]
        if weight is None or not needed.bottoms[0]:
            return Gradients((None, None))
        slopes, scale = saved.margins, g.op("Div", weight, saved.number)
        if self.squared:
            scale = g.op("Mul", scale, g.const(2))
        else:
            slopes = g.op("Sign", slopes)
        d_rows = g.op("Mul", g.op("Mul", slopes, saved.signs), scale)
        return Gradients((shaped_like(g, Value(d_rows, saved.rows.dims), saved.scores), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        rows, label = reference_instances(*bottoms)
        margins = 1 + rows
        at = np.arange(len(rows)), label
        margins[at] = 1 - rows[at]
        margins = np.where(margins > 0, margins, 0)
        return Referenced(((margins ** (2 if self.squared else 1)).sum() / len(rows),))

"""SoftmaxWithLoss: ``-mean(log(softmax(x)[label]))`` (Caffe's SoftmaxWithLoss layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Needed,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import (
    FLT_MIN,
    Averaging,
    ClassIndex,
    LossLayer,
    check_first_sizes,
    check_label_count,
    check_loss_weights,
    class_index,
    reference_labels,
    reference_rows,
)
from vggrepro.layers.softmax import Softmax


@dataclass(frozen=True)
class SoftmaxSaved:
    prob: str
    labels: ClassIndex
    prob_of_label: str
    divisor: str


@register
@dataclass(frozen=True)
class SoftmaxWithLoss(LossLayer[SoftmaxSaved]):
    """Bottoms: scores (N, C, ...) and labels, one for each position, in any shape of that count.

    Tops: the loss (), and optionally the probabilities, shaped as the scores. No gradient enters
    through the probabilities.

    DEVIATION: Caffe cannot build this layer with two tops, however many loss weights it is given.
    """

    type = "SoftmaxWithLoss"
    tops = Count(1, 2)

    axis: int = 1
    averaging: Averaging = field(default_factory=Averaging)
    gives_prob: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SoftmaxWithLoss:
        check_loss_weights(param)
        return cls(
            axis=param.softmax_param.axis,
            averaging=Averaging.from_param(param.loss_param),
            gives_prob=len(param.top) > 1,
        )

    def prediction(self, definition: Any) -> Any:
        """A Softmax with the same ``softmax_param``."""
        softmax = LayerParameter(type=Softmax.type, bottom=definition.bottom[:1])
        if definition.HasField("softmax_param"):
            softmax.softmax_param.CopyFrom(definition.softmax_param)
        return softmax

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        check_label_count(bottoms, self.axis, "softmax")
        return ((), tuple(bottoms[0])) if self.gives_prob else ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, bottoms[0][self.axis], self.averaging.ignore_label)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SoftmaxSaved]:
        scores, label = bottoms
        axis = self.axis % scores.rank
        labels = class_index(g, scores, label, axis, self.averaging.ignore_label)
        (prob,) = Softmax(axis).emit(g, [scores], (), ()).tops  # (N, C, ...)
        prob_of_label = g.op("GatherElements", prob, labels.index, axis=axis)  # (N, 1, ...)
        log_prob = labels.counted(g, g.op("Log", g.op("Max", prob_of_label, g.const(FLT_MIN))))
        divisor = self.averaging.divisor(g, scores, label, axis, labels.ignored)
        loss = g.op("Div", g.op("Neg", g.op("ReduceSum", log_prob, keepdims=0)), divisor)
        saved = SoftmaxSaved(prob, labels, prob_of_label, divisor)
        return Emitted((loss, prob) if self.gives_prob else (loss,), saved)

    def grad(
        self, g: GraphBuilder, saved: SoftmaxSaved, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        """``(p - onehot(label)) * weight / divisor``: Caffe does not see the clamp of the loss here."""
        self.refuse(needed, 1, "label")
        weight = d_tops[0]
        if weight is None or not needed.bottoms[0]:
            return Gradients((None, None))
        labels, one = saved.labels, g.const(1)
        difference = g.op(
            "ScatterElements", saved.prob, labels.index, g.op("Sub", saved.prob_of_label, one), axis=self.axis
        )
        scaled = g.op("Mul", difference, g.op("Div", weight, saved.divisor))
        return Gradients((labels.counted(g, scaled), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, label = bottoms
        (prob,) = Softmax(self.axis).reference([x], (), ()).tops
        values, counted = reference_labels(label, self.averaging.ignore_label)
        rows = reference_rows(prob, self.axis)  # (labels, C)
        losses = -np.log(np.maximum(rows[np.arange(len(rows)), values], FLT_MIN))
        outer = math.prod(x.shape[: self.axis % x.ndim])
        loss = losses[counted].sum() / self.averaging.reference_divisor(outer, counted)
        return Referenced((loss, prob) if self.gives_prob else (loss,))

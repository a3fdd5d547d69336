"""SoftmaxWithLoss: ``-mean(log(softmax(x)[label]))`` (Caffe's SoftmaxWithLoss layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
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
    check_softmax,
    class_index,
    from_zero,
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


def class_weights(param: Any) -> tuple[float, ...]:
    """The factors of the classes, where ``loss_param`` asks for them. Raises NetError if it has none then."""
    loss = param.loss_param
    if not loss.weight_by_label_freqs:
        return ()
    if not loss.class_weighting:
        raise NetError("loss_param: weight_by_label_freqs needs class_weighting, a number for each class")
    return tuple(map(float, loss.class_weighting))


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
    class_weights: tuple[float, ...] = ()
    """A factor for the loss and the gradient of each class's labels (SegNet's ``class_weighting``)."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SoftmaxWithLoss:
        check_loss_weights(param)
        check_softmax(param)
        return cls(
            axis=param.softmax_param.axis,
            averaging=Averaging.from_param(param.loss_param, weighted=True),
            gives_prob=len(param.top) > 1,
            class_weights=class_weights(param),
        )

    def prediction(self, definition: Any) -> Any:
        """A Softmax with the same ``softmax_param``."""
        softmax = LayerParameter(type=Softmax.type, bottom=definition.bottom[:1])
        if definition.HasField("softmax_param"):
            softmax.softmax_param.CopyFrom(definition.softmax_param)
        return softmax

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        axis = check_label_count(bottoms, self.axis, "softmax")
        if self.class_weights and len(self.class_weights) != bottoms[0][axis]:
            raise ShapeError(
                "Number of class weight values does not match the number of classes."
                f" ({len(self.class_weights)} vs. {bottoms[0][axis]})"
            )
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
        log_prob = g.op("Log", g.op("Max", prob_of_label, g.const(FLT_MIN)))
        log_prob = labels.counted(g, self._weighted(g, log_prob, labels))
        divisor = self.averaging.divisor(g, scores, label, axis, labels.ignored)
        loss = g.op("Div", from_zero(g, g.op("ReduceSum", log_prob, keepdims=0)), divisor)
        saved = SoftmaxSaved(prob, labels, prob_of_label, divisor)
        return Emitted((loss, prob) if self.gives_prob else (loss,), saved)

    def _weighted(self, g: GraphBuilder, values: str, labels: ClassIndex) -> str:
        """Values of labels, or of all scores, times the weight of each label's class."""
        if not self.class_weights:
            return values
        return g.op("Mul", values, g.op("Gather", g.const(self.class_weights), labels.index))

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
        difference = self._weighted(g, difference, labels)
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
        if self.class_weights:
            losses *= np.array(self.class_weights)[values]
        outer = math.prod(x.shape[: self.axis % x.ndim])
        loss = losses[counted].sum() / self.averaging.reference_divisor(outer, counted)
        return Referenced((loss, prob) if self.gives_prob else (loss,))

"""WeightedSoftmaxWithLoss: SoftmaxWithLoss in which labels count differently (a loss of several forks; not
from BVLC Caffe).

Sources: shicai/Weighted_Softmax_Loss, fields ``pos_mult`` and ``pos_cid`` of ``softmax_param``; and three
public ``weighted_softmax_loss_layer.cpp`` with the weights as third bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Count, Emitted, Referenced, Shapes, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import (
    FLT_MIN,
    Averaging,
    ClassIndex,
    Normalization,
    check_first_sizes,
    check_label_count,
    check_loss_weights,
    check_softmax,
    class_index,
    from_zero,
    reference_labels,
    reference_rows,
    shaped_like,
)
from vggrepro.layers.rules.steep_softmax import SavedSoftmax, SteepSoftmax
from vggrepro.layers.softmax import Softmax


@register
@dataclass(frozen=True)
class WeightedSoftmaxWithLoss(SteepSoftmax):
    """Bottoms: scores (N, C, ...), labels, one for each position, and optionally their weights. Tops: the
    loss (), and optionally the probabilities, through which no gradient enters.

    The loss of a label is multiplied by its weight, or with two bottoms, if it is ``pos_cid``, by
    ``pos_mult``, which must be given. ``loss_param`` averages as in SoftmaxWithLoss; a sum without a counted
    label is divided by 1.

    Forks differ in what is averaged over. With two bottoms ``normalize`` must be given, unless there is one
    label for each image and none is ignored. With three it must be ``normalize: false``, or a
    ``normalization`` other than VALID, which some forks take for the sum of the weights.
    """

    type = "WeightedSoftmaxWithLoss"
    origin = "shicai; sample weight forks"
    bottoms = Count(2, 3)
    tops = Count(1, 2)
    blind_bottoms = frozenset({1, 2})

    heavy: tuple[int, float] | None
    """A class and its weight; None where a bottom has the weights."""
    axis: int = 1
    averaging: Averaging = field(default_factory=Averaging)
    gives_prob: bool = False
    one_label: bool = False
    """Whether an image must have no more than one label."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> WeightedSoftmaxWithLoss:
        check_loss_weights(param)
        check_softmax(param, weighted=True)
        softmax, loss = param.softmax_param, param.loss_param
        averaging, heavy, one_label = Averaging.from_param(loss), None, False
        if len(param.bottom) == 3:
            told = loss.HasField("normalize") or loss.HasField("normalization")
            known = averaging.mode in (Normalization.FULL, Normalization.BATCH_SIZE, Normalization.NONE)
            if not (told and known) or softmax.HasField("pos_mult"):
                raise UnsupportedError(
                    "WeightedSoftmaxWithLoss with weights: forks differ: give loss_param a normalization of"
                    " FULL, BATCH_SIZE or NONE"
                )
        else:
            if not softmax.HasField("pos_mult"):
                raise UnsupportedError(
                    "WeightedSoftmaxWithLoss of two bottoms: expected pos_mult in softmax_param"
                )
            heavy = (softmax.pos_cid, softmax.pos_mult)
            one_label = not loss.HasField("normalize")
            if loss.HasField("normalization") or (one_label and averaging.ignore_label is not None):
                raise UnsupportedError(
                    "WeightedSoftmaxWithLoss: forks differ: give loss_param normalize alone"
                )
        return cls(heavy, softmax.axis, averaging, len(param.top) > 1, one_label)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        axis = check_label_count(bottoms, self.axis, "softmax")
        scores, labels, *weights = bottoms
        if self.one_label and math.prod(labels) != math.prod(scores[:axis]):
            raise UnsupportedError(
                "WeightedSoftmaxWithLoss of several labels for each image: give loss_param normalize"
            )
        if weights and (math.prod(weights[0]) != math.prod(labels) or weights[0][:axis] != scores[:axis]):
            raise ShapeError(f"Weights and labels must have the same shape: {weights[0]} vs. {labels}")
        return ((), tuple(scores)) if self.gives_prob else ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, bottoms[0][self.axis], self.averaging.ignore_label)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SavedSoftmax]:
        scores, label, *weights = bottoms
        axis = self.axis % scores.rank
        labels = class_index(g, scores, label, axis, self.averaging.ignore_label)
        (prob,) = Softmax(axis).emit(g, [scores], (), ()).tops  # (N, C, ...)
        own = g.op("GatherElements", prob, labels.index, axis=axis)  # (N, 1, ...)
        log = g.op("Log", g.op("Max", own, g.const(FLT_MIN)))
        steepness = (
            shaped_like(g, weights[0], scores, axis) if self.heavy is None else self._steepness(g, labels)
        )
        divisor = self.averaging.divisor(g, scores, label, axis, labels.ignored)
        losses = labels.counted(g, g.op("Mul", log, steepness))
        loss = g.op("Div", from_zero(g, g.op("ReduceSum", losses, keepdims=0)), divisor)
        saved = SavedSoftmax(prob, labels, steepness, divisor)
        return Emitted((loss, prob) if self.gives_prob else (loss,), saved)

    def _steepness(self, g: GraphBuilder, labels: ClassIndex) -> str:
        assert self.heavy is not None
        index, weight = self.heavy
        return g.op("Where", g.op("Equal", labels.index, g.ints(index)), g.const(weight), g.const(1))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, label, *weights = bottoms
        (prob,) = Softmax(self.axis).reference([x], (), ()).tops
        values, counted = reference_labels(label, self.averaging.ignore_label)
        rows = reference_rows(prob, self.axis)  # (labels, C)
        if self.heavy is None:
            factors = weights[0].reshape(-1)
        else:
            factors = np.where(values == self.heavy[0], self.heavy[1], 1.0)
        losses = -factors * np.log(np.maximum(rows[np.arange(len(rows)), values], FLT_MIN))
        outer = math.prod(x.shape[: self.axis % x.ndim])
        loss = losses[counted].sum() / self.averaging.reference_divisor(outer, counted)
        return Referenced((loss, prob) if self.gives_prob else (loss,))

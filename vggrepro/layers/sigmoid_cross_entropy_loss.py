"""SigmoidCrossEntropyLoss: ``-sum(t log(s(x)) + (1 - t) log(1 - s(x)))`` with the logistic function
s, computed without overflow (Caffe's SigmoidCrossEntropyLoss layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import (
    FLOAT,
    INT64,
    Averaging,
    LossLayer,
    Normalization,
    check_first_sizes,
    reference_labels,
    shaped_like,
)
from vggrepro.layers.rules.neuron import logistic
from vggrepro.layers.sigmoid import Sigmoid


@dataclass(frozen=True)
class _Saved:
    scores: str
    target: str
    ignored: str | None
    divisor: str


@register
@dataclass(frozen=True)
class SigmoidCrossEntropyLoss(LossLayer[_Saved]):
    """Bottoms: scores (N, ...) and targets, as many, in [0, 1]. Without ``normalization`` the sum is
    divided by N. A target whose integer part is ``ignore_label`` does not count."""

    type = "SigmoidCrossEntropyLoss"

    averaging: Averaging

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SigmoidCrossEntropyLoss:
        return cls(Averaging.from_param(param.loss_param, unset=Normalization.BATCH_SIZE))

    def prediction(self, definition: Any) -> Any:
        """A Sigmoid."""
        return LayerParameter(type=Sigmoid.type, bottom=definition.bottom[:1])

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        counts = [math.prod(b) for b in bottoms]
        if counts[0] != counts[1]:
            raise ShapeError(
                "SIGMOID_CROSS_ENTROPY_LOSS layer inputs must have the same count."
                f" ({counts[0]} vs. {counts[1]})"
            )
        return ((),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        """``x ([x >= 0] - t) + log(1 + exp(-|x|))``: no term grows where the loss does not."""
        x = bottoms[0].name
        target = shaped_like(g, bottoms[1], bottoms[0])
        positive = g.op("Cast", g.op("GreaterOrEqual", x, g.const(0)), to=FLOAT)
        linear = g.op("Mul", x, g.op("Sub", positive, target))
        losses = g.op("Add", linear, g.op("Softplus", g.op("Neg", g.op("Abs", x))))
        ignored = None
        if self.averaging.ignore_label is not None:
            integers = g.op("Cast", target, to=INT64)
            ignored = g.op("Equal", integers, g.ints(self.averaging.ignore_label))
            losses = g.op("Where", ignored, g.const(0), losses)
        divisor = self.averaging.divisor(g, bottoms[0], bottoms[1], 1, ignored)
        loss = g.op("Div", g.op("ReduceSum", losses, keepdims=0), divisor)
        return Emitted((loss,), _Saved(x, target, ignored, divisor))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """``(s(x) - t) * weight / divisor``, and 0 for ignored targets."""
        self.refuse(needed, 1, "label")
        weight = d_tops[0]
        if weight is None or not needed.bottoms[0]:
            return Gradients((None, None))
        difference = g.op("Sub", logistic(g, saved.scores), saved.target)
        scaled = g.op("Mul", difference, g.op("Div", weight, saved.divisor))
        if saved.ignored is not None:
            scaled = g.op("Where", saved.ignored, g.const(0), scaled)
        return Gradients((scaled, None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, target = bottoms[0].reshape(-1), bottoms[1].reshape(-1)
        _, counted = reference_labels(target, self.averaging.ignore_label)
        x, target = x[counted], target[counted]
        losses = target * np.logaddexp(0, -x) + (1 - target) * np.logaddexp(0, x)
        divisor = self.averaging.reference_divisor(len(bottoms[0]), counted)
        return Referenced((losses.sum() / divisor,))

"""SigmoidCrossEntropyLoss: ``-sum(t log(s(x)) + (1 - t) log(1 - s(x)))`` with the logistic function
s, computed without overflow (Caffe's SigmoidCrossEntropyLoss layer; also s9xie/hed's and yun-liu/RCF's)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import (
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
    weights: str | None = None
    """What the gradients of a BalancedLoss are multiplied by."""


@register
@dataclass(frozen=True)
class SigmoidCrossEntropyLoss(LossLayer[_Saved]):
    """Bottoms: scores (N, ...) and targets, as many, in [0, 1]. Without ``normalization`` the sum is
    divided by N. A target whose integer part is ``ignore_label`` does not count."""

    type = "SigmoidCrossEntropyLoss"

    averaging: Averaging

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SigmoidCrossEntropyLoss:
        averaging = Averaging.from_param(param.loss_param, unset=Normalization.BATCH_SIZE)
        if not param.loss_param.balanced:
            return cls(averaging)
        own = param.loss_param.HasField("negative_weight")
        return BalancedLoss(averaging, param.loss_param.negative_weight if own else None)

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
        x = bottoms[0].name
        target = shaped_like(g, bottoms[1], bottoms[0])
        losses = _losses(g, x, target)
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
        if saved.weights is not None:
            scaled = g.op("Mul", scaled, saved.weights)
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


def _losses(g: GraphBuilder, x: str, target: str) -> str:
    """``x ([x >= 0] - t) + log(1 + exp(-|x|))``: no term grows where the loss does not."""
    positive = g.op("Cast", g.op("GreaterOrEqual", x, g.const(0)), to=FLOAT)
    linear = g.op("Mul", x, g.op("Sub", positive, target))
    return g.op("Add", linear, g.op("Softplus", g.op("Neg", g.op("Abs", x))))


@dataclass(frozen=True)
class BalancedLoss(SigmoidCrossEntropyLoss):
    """HED's, of the same name ("Holistically-Nested Edge Detection", equation 2): in each item the losses of
    targets 1 are multiplied by the share of targets 0 among those that are 0 or 1, and those of targets 0
    by the share of targets 1. Other targets lose nothing; their gradients are those without weights. The sum
    is divided by N.

    RCF's has a ``negative_weight`` for targets 0 besides, and others get no gradients.

    DEVIATION: an item without targets 0 and 1 loses 0; in the forks NaN.
    """

    negative_weight: float | None = None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, target = bottoms[0].name, shaped_like(g, bottoms[1], bottoms[0])
        axes = g.ints(list(range(1, bottoms[0].rank)))
        ones, zeros = (g.op("Cast", g.op("Equal", target, g.const(value)), to=FLOAT) for value in (1, 0))
        numbers = [
            g.op("ReduceSum", marks, axes) if bottoms[0].rank > 1 else marks for marks in (ones, zeros)
        ]
        total = g.op("Max", g.op("Add", *numbers), g.const(1))
        shares = [g.op("Div", number, total) for number in numbers]
        if self.negative_weight is not None:
            shares[0] = g.op("Mul", shares[0], g.const(self.negative_weight))
        weights = g.op("Add", g.op("Mul", ones, shares[1]), g.op("Mul", zeros, shares[0]))
        divisor = self.averaging.divisor(g, bottoms[0], bottoms[1], 1, None)
        losses = g.op("Mul", _losses(g, x, target), weights)
        loss = g.op("Div", g.op("ReduceSum", losses, keepdims=0), divisor)
        if self.negative_weight is None:
            others = g.op("Sub", g.op("Sub", g.const(1), ones), zeros)
            weights = g.op("Add", weights, others)
        return Emitted((loss,), _Saved(x, target, None, divisor, weights))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        number = len(bottoms[0])
        negative = 1 if self.negative_weight is None else self.negative_weight
        loss = 0.0
        for x, target in zip(bottoms[0].reshape(number, -1), bottoms[1].reshape(number, -1), strict=True):
            ones, zeros = x[target == 1], x[target == 0]
            total = max(ones.size + zeros.size, 1)
            loss += np.logaddexp(0, -ones).sum() * zeros.size / total
            loss += negative * np.logaddexp(0, zeros).sum() * ones.size / total
        return Referenced((np.asarray(loss / number),))

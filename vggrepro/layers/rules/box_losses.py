"""The losses of predicted boxes and of their confidences, as SSD takes them: as nodes and in NumPy.

Source: weiliu89/caffe, branch ssd, ``ComputeConfLoss`` and ``ComputeLocLoss``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.layers.base import Array
from vggrepro.layers.rules.focus import Focus
from vggrepro.layers.rules.loss import FLT_MIN, from_zero


class Confidences(NamedTuple):
    """The losses of confidences: tensors of the graph."""

    slope: str
    """The derivative of the losses by the scores, (N, P, C)."""
    losses: str
    """The loss of each box, (N, P)."""
    hardness: str
    """The losses by which hard boxes are chosen, (N, P)."""


@dataclass(frozen=True)
class BoxLosses:
    """Of places: smooth L1, or half the square. Of confidences: SoftmaxWithLoss's, with a ``focus``
    FocalLoss's, or the cross entropy of sigmoids. Hard boxes are chosen by the loss without a focus."""

    squared: bool = False
    logistic: bool = False
    focus: Focus | None = None

    def emit_places(self, g: GraphBuilder, difference: str) -> str:
        """The losses of places, each of an element of the ``difference`` (N, P, 4)."""
        squares = g.op("Mul", g.op("Mul", difference, difference), g.const(0.5))
        if self.squared:
            return squares
        size = g.op("Abs", difference)
        return g.op("Where", g.op("Less", size, g.const(1)), squares, g.op("Sub", size, g.const(0.5)))

    def emit_slope(self, g: GraphBuilder, difference: str) -> str:
        """The derivative of ``emit_places``."""
        return difference if self.squared else g.op("Clip", difference, g.const(-1), g.const(1))

    def emit_confidences(self, g: GraphBuilder, scores: str, target: str) -> Confidences:
        """Scores and target (N, P, C), the target 1 for one class."""
        if not self.logistic:
            shares = g.op("Softmax", scores, axis=2)
            right = g.op("ReduceSum", g.op("Mul", shares, target), g.ints([2]), keepdims=0)
            losses = from_zero(g, g.op("Log", g.op("Max", right, g.const(FLT_MIN))))
            slope = g.op("Sub", shares, target)
            if self.focus is None:
                return Confidences(slope, losses, losses)
            counted, steepness = self.focus.emit(g, right, losses)
            steepness = g.op("Unsqueeze", steepness, g.ints([2]))
            return Confidences(g.op("Mul", slope, steepness), counted, losses)
        sure = g.op("Cast", g.op("GreaterOrEqual", scores, g.const(0)), to=FLOAT)
        linear = g.op("Mul", scores, g.op("Sub", sure, target))
        losses = g.op("Add", linear, g.op("Softplus", g.op("Neg", g.op("Abs", scores))))
        losses = g.op("ReduceSum", losses, g.ints([2]), keepdims=0)
        return Confidences(g.op("Sub", g.op("Sigmoid", scores), target), losses, losses)

    def places(self, difference: Array) -> Array:
        """As ``emit_places``, in NumPy."""
        size = np.abs(difference)
        losses: Array = np.where(self.squared | (size < 1), size**2 / 2, size - 0.5)
        return losses

    def confidences(self, scores: Array, label: Array) -> Array:
        """The losses of scores (P, C) and labels (P) by which hard boxes are chosen, in NumPy: (P)."""
        losses: Array
        if not self.logistic:
            largest = scores.max(1, keepdims=True)
            powers = np.exp(scores - largest)
            right = powers[np.arange(len(label)), label] / powers.sum(1)
            losses = -np.log(np.maximum(right, FLT_MIN))
            return losses
        target = label[:, None] == np.arange(scores.shape[1])
        losses = np.where(target, np.logaddexp(0, -scores), np.logaddexp(0, scores)).sum(1)
        return losses

    def focused(self, losses: Array) -> Array:
        """Losses of :meth:`confidences` as they count."""
        if self.focus is None or self.logistic:
            return losses
        return self.focus.reference(np.exp(-losses), losses)

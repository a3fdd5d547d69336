"""SmoothL1Loss, SmoothL1LossOHEM: quadratic near 0, linear beyond (losses of the R-CNN forks; not from BVLC
Caffe).

Sources: rbgirshick/caffe-fast-rcnn (branch faster-rcnn, the layer of py-faster-rcnn) for two and four
bottoms, with the field ``smooth_l1_loss_param``; Fast R-CNN and ShaoqingRen/faster_rcnn for three;
daijifeng001/caffe-rfcn for SmoothL1LossOHEM, which reads ``loss_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Count, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import (
    Averaging,
    LossLayer,
    Normalization,
    check_first_sizes,
    check_legacy,
    check_loss_weights,
    count,
    shaped_like,
)
from vggrepro.layers.rules.neuron import times


class _Saved(NamedTuple):
    difference: str
    divisor: str
    weights: tuple[str, ...]
    """What the gradient is multiplied with."""
    bottoms: tuple[Value, Value]


class _SmoothL1(LossLayer[_Saved]):
    """``f(w (a - b))`` with ``f(d) = (sigma d)^2 / 2`` where ``|d| < 1 / sigma^2``, else
    ``|d| - 1 / (2 sigma^2)``; a, b and the weights w have the same shape (N, ...)."""

    blind_bottoms = silent_bottoms = frozenset({2, 3})

    @property
    def sigma_squared(self) -> float:
        return 1.0

    def _check(self, bottoms: Shapes) -> None:
        """Raises ShapeError where bottoms differ in more than sizes of 1 at the end."""
        check_first_sizes(bottoms)
        for bottom in bottoms:
            check_legacy(bottom)
        padded = {(*bottom, *[1] * (4 - len(bottom))) for bottom in bottoms}
        if len(padded) != 1:
            raise ShapeError(f"{self.type}: bottoms of different shapes: {', '.join(map(str, bottoms))}")

    def _difference(self, g: GraphBuilder, bottoms: Sequence[Value]) -> tuple[str, list[str]]:
        """``w (a - b)``, and all weights in the shape of a."""
        a, b, *weights = bottoms
        difference = g.op("Sub", a.name, shaped_like(g, b, a))
        aligned = [shaped_like(g, weight, a) for weight in weights]
        return g.op("Mul", difference, aligned[0]) if aligned else difference, aligned

    def _losses(self, g: GraphBuilder, difference: str) -> str:
        """f as ``sigma^2 m (|d| - m / 2)`` with ``m = min(|d|, 1 / sigma^2)``."""
        size = g.op("Abs", difference)
        near = g.op("Min", size, g.const(1 / self.sigma_squared))
        rest = g.op("Sub", size, times(g, near, 0.5))
        return times(g, g.op("Mul", near, rest), self.sigma_squared)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        weight = d_tops[0]
        nothing = (None,) * len(needed.bottoms)
        if weight is None or not any(needed.bottoms[:2]):
            return Gradients(nothing)
        edge = 1 / self.sigma_squared
        slope = times(g, g.op("Clip", saved.difference, g.const(-edge), g.const(edge)), self.sigma_squared)
        d_a = g.op("Mul", slope, g.op("Div", weight, saved.divisor))
        for factor in saved.weights:
            d_a = g.op("Mul", d_a, factor)
        a, b = saved.bottoms
        d_b = shaped_like(g, Value(g.op("Neg", d_a), a.dims), b) if needed.bottoms[1] else None
        return Gradients((d_a if needed.bottoms[0] else None, d_b, *nothing[2:]))

    def _reference_losses(self, bottoms: Sequence[Array]) -> Array:
        a, b, *weights = bottoms
        difference = a - b.reshape(a.shape)
        if weights:
            difference = difference * weights[0].reshape(a.shape)
        size, square = np.abs(difference), self.sigma_squared
        losses: Array = np.where(size < 1 / square, square * size**2 / 2, size - 0.5 / square)
        return losses


@register
@dataclass(frozen=True)
class SmoothL1Loss(_SmoothL1):
    """Bottoms: predictions and targets (N, ...); with four, weights inside and outside of f besides, each
    in the gradient too. The sum is divided by N.

    With three bottoms it is the older layer: sigma is 1, the weights inside of f are not in the gradient
    (they are 0 or 1), and the sum is divided by N * H * W, which for Fast R-CNN's own nets is N.
    """

    type = "SmoothL1Loss"
    origin = "py-faster-rcnn, Fast R-CNN"
    bottoms = Count(2, 4)

    sigma: float = 1.0
    older: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SmoothL1Loss:
        p = param.smooth_l1_loss_param
        if p.sigma <= 0:
            raise NetError(f"smooth_l1_loss_param: sigma must be above 0, got {p.sigma:g}")
        older = len(param.bottom) == 3
        if older and p.HasField("sigma"):
            raise NetError(
                "SmoothL1Loss with sigma takes 2 or 4 bottoms: both inside and outside"
                " weights, or none; got 3"
            )
        return cls(p.sigma, older)

    @property
    def sigma_squared(self) -> float:
        return self.sigma**2

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        self._check(bottoms)
        return ((),)

    def _divisor(self, g: GraphBuilder, predictions: Value) -> str:
        number = count(g, predictions, 0, 1)
        return g.op("Mul", number, count(g, predictions, 2)) if self.older else number

    def _reference_divisor(self, shape: Shape) -> float:
        return shape[0] * (prod(shape[2:]) if self.older else 1)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        difference, weights = self._difference(g, bottoms)
        losses = self._losses(g, difference)
        if len(weights) == 2:
            losses = g.op("Mul", losses, weights[1])
        divisor = self._divisor(g, bottoms[0])
        loss = g.op("Div", g.op("ReduceSum", losses, keepdims=0), divisor)
        factors = () if self.older else tuple(weights)
        return Emitted((loss,), _Saved(difference, divisor, factors, (bottoms[0], bottoms[1])))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        losses = self._reference_losses(bottoms)
        if len(bottoms) == 4:
            losses = losses * bottoms[3].reshape(losses.shape)
        return Referenced((losses.sum() / self._reference_divisor(losses.shape),))


@register
@dataclass(frozen=True)
class SmoothL1LossOHEM(_SmoothL1):
    """Bottoms: predictions and targets (N, C, ...), optionally weights inside of f, which are not in the
    gradient (they are 0 or 1). Tops: the loss (), optionally the sum over C at each place: (N, 1, ...),
    without gradient. The sum is divided as ``normalization`` says: FULL and VALID by the number of places.
    """

    type = "SmoothL1LossOHEM"
    origin = "R-FCN"
    bottoms = Count(2, 3)
    tops = Count(1, 2)

    averaging: Averaging
    gives_losses: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SmoothL1LossOHEM:
        check_loss_weights(param)
        return cls(Averaging.from_param(param.loss_param), len(param.top) > 1)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        self._check(bottoms)
        first = bottoms[0]
        if len(first) < 2:
            raise ShapeError(f"{self.type}: bottom[0] must be (N, C, ...), got shape {first}")
        return ((), (first[0], 1, *first[2:])) if self.gives_losses else ((),)

    def _divisor(self, g: GraphBuilder, predictions: Value) -> str:
        mode = self.averaging.mode
        if mode in (Normalization.NONE, Normalization.PRE_FIXED):
            return g.const(self._reference_divisor(()))
        number = count(g, predictions, 0, 1)
        if mode != Normalization.BATCH_SIZE:
            number = g.op("Mul", number, count(g, predictions, 2))
        return g.op("Max", number, g.const(1))

    def _reference_divisor(self, shape: Shape) -> float:
        mode = self.averaging.mode
        if mode in (Normalization.NONE, Normalization.PRE_FIXED):
            return max(self.averaging.fixed if mode == Normalization.PRE_FIXED else 1.0, 1.0)
        return max(shape[0] * (1 if mode == Normalization.BATCH_SIZE else prod(shape[2:])), 1)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        difference, _ = self._difference(g, bottoms)
        losses = self._losses(g, difference)
        divisor = self._divisor(g, bottoms[0])
        loss = g.op("Div", g.op("ReduceSum", losses, keepdims=0), divisor)
        saved = _Saved(difference, divisor, (), (bottoms[0], bottoms[1]))
        tops = (loss, g.op("ReduceSum", losses, g.ints([1]))) if self.gives_losses else (loss,)
        return Emitted(tops, saved)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        losses = self._reference_losses(bottoms)
        loss = losses.sum() / self._reference_divisor(losses.shape)
        return Referenced((loss, losses.sum(1, keepdims=True)) if self.gives_losses else (loss,))

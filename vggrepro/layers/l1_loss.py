"""L1Loss: the sum of absolute differences, or of the lengths of differences (FlowNet's loss; not from BVLC
Caffe).

Source: lmb-freiburg/flownet2, field ``l1_loss_param``; other forks' layers of this name do what it does
without that field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.loss import count, shaped_like


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    difference: str
    """0 where it does not count."""
    counted: str
    """bool of its shape: whether an element has a gradient."""
    lengths: str | None
    """(N, 1, ...): of the vectors of channels; None where each element counts by itself."""
    divisor: str


@register
@dataclass(frozen=True)
class L1Loss(Layer[_Saved]):
    """Bottoms: a and b (N, C, ...), or their difference alone. Top: the loss ().

    The loss is the sum of ``|a - b|``, divided by N, or with ``normalize_by_num_entries`` by the number of
    differences that are numbers, over C. Those that are not (NaN) count 0, and differences smaller than
    ``plateau`` too. With ``l2_per_location`` it is the sum of ``sqrt(|v|^2 + epsilon)`` of the vectors v of
    channels at each place, ``|v|^2`` over C with ``l2_prescale_by_channels``. At a difference of 0 the slope
    is -1, as in FlowNet.
    """

    type = "L1Loss"
    origin = "FlowNet"
    bottoms = Count(1, 2)
    loss = True

    vectors: bool = False
    prescaled: bool = False
    by_entries: bool = False
    epsilon: float = 0.01
    plateau: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> L1Loss:
        p = param.l1_loss_param
        scaled = p.l2_prescale_by_channels
        return cls(p.l2_per_location, scaled, p.normalize_by_num_entries, p.epsilon, p.plateau)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        first, *second = bottoms
        if len(first) < 2:
            raise ShapeError(f"L1Loss: bottom[0] must be (N, C, ...), got shape {first}")
        if second and (second[0][:1] != first[:1] or prod(second[0]) != prod(first)):
            raise ShapeError(f"Inputs must have the same dimension. ({first} vs. {second[0]})")
        return ((),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        a = bottoms[0]
        difference = a.name if len(bottoms) == 1 else g.op("Sub", a.name, shaped_like(g, bottoms[1], a))
        counted = g.op("Equal", difference, difference)  # not so NaN
        divisor = count(g, a, 0, 1)
        if self.by_entries:
            entries = g.op("ReduceSum", g.op("Cast", counted, to=FLOAT), keepdims=0)
            divisor = g.op("Div", entries, count(g, a, 1, 2))
        if self.plateau > 0 and not self.vectors:
            large = g.op("GreaterOrEqual", g.op("Abs", difference), g.const(self.plateau))
            counted = g.op("And", counted, large)
        difference = g.op("Where", counted, difference, g.const(0))
        lengths, losses = None, g.op("Abs", difference)
        if self.vectors:
            mean = g.op(
                "ReduceMean" if self.prescaled else "ReduceSum",
                g.op("Mul", difference, difference),
                g.ints([1]),
            )
            if self.plateau > 0:
                large = g.op("GreaterOrEqual", mean, g.const(self.plateau**2))
                mean, counted = g.op("Where", large, mean, g.const(0)), g.op("And", counted, large)
            lengths = losses = g.op("Sqrt", g.op("Add", mean, g.const(self.epsilon)))
        loss = g.op("Div", g.op("ReduceSum", losses, keepdims=0), divisor)
        return Emitted((loss,), _Saved(tuple(bottoms), difference, counted, lengths, divisor))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None,) * len(saved.bottoms))
        a, *second = saved.bottoms
        if saved.lengths is None:
            above = g.op("Cast", g.op("Greater", saved.difference, g.const(0)), to=FLOAT)
            slope = g.op("Sub", g.op("Add", above, above), g.const(1))
        else:
            slope = g.op("Div", saved.difference, saved.lengths)
            if self.prescaled:
                slope = g.op("Div", slope, count(g, a, 1, 2))
        slope = g.op("Mul", slope, g.op("Div", d_tops[0], saved.divisor))
        d_a = g.op("Where", saved.counted, slope, g.const(0))
        gradients: list[str | None] = [d_a if needed.bottoms[0] else None]
        for b in second:
            d_b = shaped_like(g, Value(g.op("Neg", d_a), a.dims), b)
            gradients.append(d_b if needed.bottoms[1] else None)
        return Gradients(tuple(gradients))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, *second = bottoms
        difference = a - second[0].reshape(a.shape) if second else a
        numbers = ~np.isnan(difference)
        divisor = numbers.sum() / a.shape[1] if self.by_entries else len(a)
        difference = np.where(numbers, difference, 0)
        if not self.vectors:
            sizes = np.abs(difference)
            return Referenced((sizes[sizes >= self.plateau].sum() / divisor,))
        squares = (difference**2).sum(1) / (a.shape[1] if self.prescaled else 1)
        squares = np.where(squares >= self.plateau**2, squares, 0)
        return Referenced((np.sqrt(squares + self.epsilon).sum() / divisor,))

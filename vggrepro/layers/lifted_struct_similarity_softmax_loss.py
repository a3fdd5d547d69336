"""LiftedStructSimilaritySoftmaxLoss: each pair of a class nearer than all that is not of the class (loss of
lifted structured embedding; not from BVLC Caffe).

Source: rksltnl/Caffe-Deep-Metric-Learning-CVPR16 as its descendants keep it (xw-hu/SINet), field
``lifted_struct_sim_softmax_loss_param``. "Deep Metric Learning via Lifted Structured Feature Embedding",
equation 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import LossLayer, check_ones, instances, shaped_like
from vggrepro.layers.rules.neuron import indicator

NOTHING = -1e30
"""Stands for the logarithm of 0."""


class _Saved(NamedTuple):
    bottom: Value
    x: str
    """(N, C)."""
    distance: str
    """(N, N), as what follows."""
    lost: str
    """The losses of the pairs before they are squared, each pair once, else 0."""
    shares: str
    """Which share of the nearness of row i's negatives each has."""
    weights: str
    """Which share of a pair's negatives is near to its row i, rather than to its column."""
    pairs: str
    """The number of pairs, at least 1."""


@register
@dataclass(frozen=True)
class LiftedStructSimilaritySoftmaxLoss(LossLayer[_Saved]):
    """Bottoms: features (N, C) and labels (N,). For each pair i, j of equal labels, with distances d,

        J = d(i, j) + log(sum of exp(margin - d(i, k)) + sum of exp(margin - d(j, k)))

    over all k of other labels. The loss is the sum of ``max(J, 0)^2`` over pairs, divided by twice their
    number. It is 0 without such a pair, and where all labels are equal, as SINet has it; in the first version
    these are no numbers.

    DEVIATION: two equal features have no direction to be pulled along: their gradient is 0 here, and no
    number in the forks.
    """

    type = "LiftedStructSimilaritySoftmaxLoss"
    origin = "Lifted structured embedding"

    margin: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LiftedStructSimilaritySoftmaxLoss:
        p = param.lifted_struct_sim_softmax_loss_param
        if not p.HasField("margin"):
            raise UnsupportedError("lifted_struct_sim_softmax_loss_param: margin must be given")
        return cls(p.margin)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        tops = super().out_shapes(bottoms)
        check_ones(bottoms, 0, "height", "width")
        check_ones(bottoms, 1, "channels", "height", "width")
        return tops

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = instances(g, bottoms[0]).name  # (N, C)
        differences = g.op("Sub", g.op("Unsqueeze", x, g.ints([1])), g.op("Unsqueeze", x, g.ints([0])))
        distance = g.op("Sqrt", g.op("ReduceSumSquare", differences, g.ints([2]), keepdims=0))  # (N, N)
        label = g.op("Reshape", bottoms[1].name, g.ints([-1, 1]))
        same = g.op("Equal", label, g.op("Reshape", label, g.ints([1, -1])))
        nearness = g.op("Where", same, g.const(NOTHING), g.op("Sub", g.const(self.margin), distance))
        most = g.op("ReduceMax", nearness, g.ints([1]))  # (N, 1)
        exponents = g.op("Exp", g.op("Sub", nearness, most))
        total = g.op("ReduceSum", exponents, g.ints([1]))
        row = g.op("Add", most, g.op("Log", total))  # of all negatives of i, (N, 1)
        column = g.op("Reshape", row, g.ints([1, -1]))
        larger = g.op("Max", row, column)
        parts = [g.op("Exp", g.op("Sub", side, larger)) for side in (row, column)]
        both = g.op("Add", *parts)
        loss = g.op("Relu", g.op("Add", distance, g.op("Add", larger, g.op("Log", both))))
        once = g.op("Trilu", indicator(g, same), g.ints(1))
        lost = g.op("Mul", loss, once)
        pairs = g.op("Max", g.op("ReduceSum", once, keepdims=0), g.const(1))
        top = g.op("Div", g.op("ReduceSumSquare", lost, keepdims=0), g.op("Mul", pairs, g.const(2)))
        shares, weights = g.op("Div", exponents, total), g.op("Div", parts[0], both)
        return Emitted((top,), _Saved(bottoms[0], x, distance, lost, shares, weights, pairs))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        x = saved.x
        pulled = g.op("Div", saved.lost, saved.pairs)  # the gradient of J, and of a pair's own distance
        either = g.op("Add", pulled, g.op("Transpose", pulled, perm=[1, 0]))
        pushed = g.op(
            "ReduceSum", g.op("Mul", either, saved.weights), g.ints([1])
        )  # of row i's negatives, (N, 1)
        d_distance = g.op("Sub", pulled, g.op("Mul", pushed, saved.shares))
        apart = g.op("Greater", saved.distance, g.const(0))
        divisor = g.op("Where", apart, saved.distance, g.const(1))
        slope = g.op("Where", apart, g.op("Div", d_distance, divisor), g.const(0))
        slope = g.op("Add", slope, g.op("Transpose", slope, perm=[1, 0]))
        moved = g.op("Sub", g.op("Mul", x, g.op("ReduceSum", slope, g.ints([1]))), g.op("MatMul", slope, x))
        rows = Value(g.op("Mul", moved, d_tops[0]), (None, None))
        return Gradients((shaped_like(g, rows, saved.bottom), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, label = bottoms[0].reshape(len(bottoms[0]), -1), bottoms[1].reshape(-1)
        distance = np.sqrt(np.square(x[:, None] - x).sum(axis=2))
        losses = []
        for i, j in zip(*np.nonzero(np.triu(label[:, None] == label, 1)), strict=True):
            others = label != label[i]
            near = self.margin - np.concatenate([distance[i, others], distance[j, others]])
            most = near.max(initial=NOTHING)
            if len(near):
                losses.append(max(most + np.log(np.exp(near - most).sum()) + distance[i, j], 0) ** 2)
        return Referenced((np.asarray(sum(losses) / (2 * max(len(losses), 1))),))

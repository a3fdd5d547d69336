"""IOCLoss: how unlikely demonstrations are among samples, by their costs (guided cost learning's layer; not
from BVLC Caffe).

Source: cbfinn/caffe. "Guided Cost Learning: Deep Inverse Optimal Control via Policy Optimization", section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.loss import LossLayer, count


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    shares: str
    """Of the partition function, demonstrations first: (D + S)."""


@register
@dataclass(frozen=True)
class IOCLoss(LossLayer[_Saved]):
    """Bottoms: costs of the steps of D demonstrations (D, T) and of S samples (S, T), and the logarithms of
    the importance weights of both, (D) and (S). Top: the loss (). Axes of size 1 may follow.

    A trajectory's cost c is half the sum over its steps. The loss is the mean of the demonstrations' costs
    plus ``log(sum(exp(-c - w)))`` over all trajectories. No gradient flows to the weights w.
    """

    type = "IOCLoss"
    origin = "Guided cost learning"
    bottoms = exactly(4)
    blind_bottoms = frozenset({2, 3})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> IOCLoss:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        for index, costs in enumerate(bottoms[:2]):
            if len(costs) < 2 or prod(costs[1:]) != costs[1] or costs[1] != bottoms[0][1]:
                raise ShapeError(
                    f"bottom[{index}] must be (trajectories, steps), as many steps in both, got shapes"
                    f" {bottoms[0]} and {bottoms[1]}"
                )
            weights = bottoms[index + 2]
            if weights[:1] != costs[:1] or prod(weights) != costs[0]:
                raise ShapeError(f"bottom[{index + 2}] must be ({costs[0]},), got shape {weights}")
        return ((),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        flat = [g.op("Reshape", value.name, g.ints([-1])) for value in bottoms[2:]]
        costs = []
        for value in bottoms[:2]:
            sums = g.op("ReduceSum", value.name, g.ints(range(1, value.rank)), keepdims=0)
            costs.append(g.op("Mul", sums, g.const(0.5)))
        weighted = g.op("Add", g.op("Concat", *costs, axis=0), g.op("Concat", *flat, axis=0))
        exponents = g.op("Neg", weighted)
        partition = g.op("ReduceLogSumExp", exponents, g.ints([0]), keepdims=0)
        loss = g.op("Add", g.op("ReduceMean", costs[0], g.ints([0]), keepdims=0), partition)
        return Emitted((loss,), _Saved(tuple(bottoms), g.op("Exp", g.op("Sub", exponents, partition))))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None,) * 4)
        demonstrations, samples = saved.bottoms[:2]
        number = g.op("Shape", demonstrations.name, end=1)
        weight = g.op("Mul", d_tops[0], g.const(0.5))
        mean = g.op("Reciprocal", count(g, demonstrations, 0, 1))
        parts = (
            g.op("Sub", mean, g.op("Slice", saved.shares, g.ints([0]), number)),
            g.op("Neg", g.op("Slice", saved.shares, number, g.ints([np.iinfo(np.int64).max]))),
        )
        gradients = []
        for part, value, wanted in zip(parts, (demonstrations, samples), needed.bottoms, strict=False):
            column = g.op("Unsqueeze", g.op("Mul", part, weight), g.ints(range(1, value.rank)))
            gradients.append(g.op("Expand", column, g.op("Shape", value.name)) if wanted else None)
        return Gradients((*gradients, None, None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        costs = [b.reshape(len(b), -1).sum(1) / 2 for b in bottoms[:2]]
        exponents = -np.concatenate(costs) - np.concatenate([w.reshape(-1) for w in bottoms[2:]])
        return Referenced((costs[0].mean() + np.logaddexp.reduce(exponents),))

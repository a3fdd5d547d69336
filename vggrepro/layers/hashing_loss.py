"""HashingLoss: codes alike within a class, and near -1 and 1 (the loss of DSH; not from BVLC Caffe).

Source: lhmRyan/deep-supervised-hashing-DSH, field ``hashing_loss_param``. "Deep Supervised Hashing for Fast
Image Retrieval", equation 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import INT64, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import LossLayer, check_ones, count, instances, shaped_like
from vggrepro.layers.rules.neuron import indicator


class _Saved(NamedTuple):
    bottom: Value
    x: str
    """(N, C)."""
    pulls: str
    """(N, N): 1 for pairs that are pulled together, -1 for those that are pushed apart, else 0."""
    pairs: str
    number: str


@register
@dataclass(frozen=True)
class HashingLoss(LossLayer[_Saved]):
    """Bottoms: codes (N, C) and labels (N, L). Two images are alike if their labels are equal, or with L
    above 1 if the product of their labels is positive. With the squared distance d of two codes the loss is
    the sum, over all pairs, of d where they are alike and ``max(0, bi_margin - d)`` where not, divided by
    ``N (N - 1)``, plus ``tradeoff / N`` times the sum of ``| |x| - 1 |``.

    The gradient of the distances is that of their halves, as in the fork. At 0 and 1 the last term's is 1,
    at -1 too.

    Forks with further fields (``nsim``, ``tradeoff2``, ``multi_label``) have other losses of this name, and
    are refused. So is a net that leaves ``bi_margin`` or ``tradeoff`` to the fork's default.
    """

    type = "HashingLoss"
    origin = "DSH"

    margin: float
    tradeoff: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HashingLoss:
        p = param.hashing_loss_param
        if not (p.HasField("bi_margin") and p.HasField("tradeoff")):
            raise UnsupportedError("hashing_loss_param: bi_margin and tradeoff must be given")
        return cls(p.bi_margin, p.tradeoff)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        tops = super().out_shapes(bottoms)
        for index in range(2):
            check_ones(bottoms, index, "height", "width")
        if bottoms[0][0] < 2:
            raise ShapeError("HashingLoss needs at least 2 images, whose codes it compares")
        return tops

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """Of the labels: whether there are several."""
        return frozenset({1})

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = instances(g, bottoms[0]).name  # (N, C)
        differences = g.op("Sub", g.op("Unsqueeze", x, g.ints([1])), g.op("Unsqueeze", x, g.ints([0])))
        distance = g.op("ReduceSumSquare", differences, g.ints([2]), keepdims=0)  # (N, N)
        number = count(g, bottoms[0], 0, 1)
        alike = self._alike(g, bottoms[1])
        near = g.op("Less", distance, g.const(self.margin))
        pushed = g.op("And", g.op("Not", alike), near)
        lost = g.op("Where", alike, distance, g.op("Relu", g.op("Sub", g.const(self.margin), distance)))
        upper = g.op("Trilu", lost, g.ints(1))  # each pair once, none with itself
        pairs = g.op("Mul", number, g.op("Sub", number, g.const(1)))
        apart = g.op("Div", g.op("ReduceSum", upper, keepdims=0), pairs)
        off = g.op("ReduceSum", g.op("Abs", g.op("Sub", g.op("Abs", x), g.const(1))), keepdims=0)
        loss = g.op("Add", apart, g.op("Mul", g.op("Div", off, number), g.const(self.tradeoff)))
        pulls = g.op("Sub", indicator(g, alike), indicator(g, pushed))
        return Emitted((loss,), _Saved(bottoms[0], x, pulls, pairs, number))

    def _alike(self, g: GraphBuilder, labels: Value) -> str:
        """Which pairs of images are alike, bool (N, N)."""
        rows = g.op("Flatten", labels.name, axis=1)
        turned = g.op("Transpose", rows, perm=[1, 0])
        if all(size == 1 for size in labels.dims[1:]):
            whole = (g.op("Cast", side, to=INT64) for side in (rows, turned))
            return g.op("Equal", *whole)
        return g.op("Greater", g.op("MatMul", rows, turned), g.const(0))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        x = saved.x
        total = g.op("ReduceSum", saved.pulls, g.ints([1]))  # (N, 1)
        moved = g.op("Sub", g.op("Mul", x, total), g.op("MatMul", saved.pulls, x))
        inside = g.op("And", g.op("LessOrEqual", x, g.const(0)), g.op("GreaterOrEqual", x, g.const(-1)))
        outwards = g.op("Or", g.op("GreaterOrEqual", x, g.const(1)), inside)
        slope = g.op("Where", outwards, g.const(self.tradeoff), g.const(-self.tradeoff))
        d_x = g.op("Add", g.op("Div", moved, saved.pairs), g.op("Div", slope, saved.number))
        rows = Value(g.op("Mul", d_x, d_tops[0]), (None, None))
        return Gradients((shaped_like(g, rows, saved.bottom), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, labels = (bottom.reshape(len(bottom), prod(bottom.shape[1:])) for bottom in bottoms)
        number, apart = len(x), 0.0
        for i in range(number):
            for j in range(i + 1, number):
                distance = np.square(x[i] - x[j]).sum()
                several = labels.shape[1] > 1
                alike = labels[i] @ labels[j] > 0 if several else int(labels[i, 0]) == int(labels[j, 0])
                apart += distance if alike else max(self.margin - distance, 0)
        off = np.abs(np.abs(x) - 1).sum()
        return Referenced((np.asarray(apart / (number * (number - 1)) + self.tradeoff * off / number),))

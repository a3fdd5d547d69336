"""MultiLabelLoss: SigmoidCrossEntropyLoss for labels that say yes, no or nothing (forks' loss; not from BVLC
Caffe).

Sources: BVLC's pull request with ``MULTI_LABEL_LOSS``, and the forks that took it over, among them
xiaomi646/caffe_2d_mlabel and lxx1991/caffe_mpi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.caffe.messages import LayerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import LossLayer, count, shaped_like
from vggrepro.layers.rules.neuron import indicator, logistic
from vggrepro.layers.sigmoid import Sigmoid


class _Saved(NamedTuple):
    scores: str
    yes: str
    """1 for labels above 0, else 0, float32."""
    counts: str
    """Which labels are not 0, bool."""
    number: str


@register
@dataclass(frozen=True)
class MultiLabelLoss(LossLayer[_Saved]):
    """Bottoms: scores (N, C) and labels, as many: yes above 0, no below 0, unknown at 0. The loss is the sum
    of ``-log(s(x))`` where the label is yes and ``-log(1 - s(x))`` where it is no, with the logistic function
    s, divided by N.

    Two forks have other rules: ywchao/caffe-fast-rcnn divides by the number of known labels, which no field
    tells; yun-liu/DDS balances edges and their surroundings on maps, and scores with a height or a width
    above 1 are refused for it.
    """

    type = "MultiLabelLoss"
    origin = "multi-label forks"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MultiLabelLoss:
        return cls()

    def prediction(self, definition: Any) -> Any:
        """A Sigmoid."""
        return LayerParameter(type=Sigmoid.type, bottom=definition.bottom[:1])

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        tops = super().out_shapes(bottoms)
        if prod(bottoms[0]) != prod(bottoms[1]):
            raise ShapeError(
                "MULTI_LABEL_LOSS layer inputs must have the same count."
                f" ({prod(bottoms[0])} vs. {prod(bottoms[1])})"
            )
        if prod(bottoms[0][2:]) != 1:
            raise UnsupportedError(
                f"MultiLabelLoss of maps, got scores of shape {tuple(bottoms[0])}: forks differ (yun-liu/DDS"
                " balances their places); only that of scores (N, C) is implemented"
            )
        return tops

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """Height and width, which must be 1."""
        return frozenset(range(2, len(bottoms[0])))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0].name
        label = shaped_like(g, bottoms[1], bottoms[0])
        known = g.op("Not", g.op("Equal", label, g.const(0)))
        yes = indicator(g, g.op("Greater", label, g.const(0)))
        # -log(s(x)) = log(1 + exp(-x)), -log(1 - s(x)) = log(1 + exp(x)); neither overflows so
        small = g.op("Log", g.op("Add", g.op("Exp", g.op("Neg", g.op("Abs", x))), g.const(1)))
        lost = g.op("Add", g.op("Sub", g.op("Relu", x), g.op("Mul", x, yes)), small)
        number = count(g, bottoms[0], 0, 1)
        total = g.op("ReduceSum", g.op("Where", known, lost, g.const(0)), keepdims=0)
        return Emitted((g.op("Div", total, number),), _Saved(x, yes, known, number))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        slope = g.op("Sub", logistic(g, saved.scores), saved.yes)
        counted = g.op("Where", saved.counts, slope, g.const(0))
        return Gradients((g.op("Mul", counted, g.op("Div", d_tops[0], saved.number)), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, label = (bottom.reshape(-1) for bottom in bottoms)
        signs = np.sign(label[label != 0])
        return Referenced((np.logaddexp(0, -signs * scores[label != 0]).sum() / len(bottoms[0]),))

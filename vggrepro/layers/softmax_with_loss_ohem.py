"""SoftmaxWithLossOHEM: SoftmaxWithLoss that also gives the loss of each label (R-FCN's layer; not from BVLC
Caffe).

Source: daijifeng001/caffe-rfcn, whose BoxAnnotatorOHEM picks hard examples by these losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Count, Emitted, Referenced, Shapes, register
from vggrepro.layers.rules.loss import (
    FLT_MIN,
    Averaging,
    check_loss_weights,
    check_softmax,
    reference_labels,
    reference_rows,
    shaped_like,
)
from vggrepro.layers.softmax_with_loss import SoftmaxSaved, SoftmaxWithLoss


@register
@dataclass(frozen=True)
class SoftmaxWithLossOHEM(SoftmaxWithLoss):
    """Bottoms and the first two tops are SoftmaxWithLoss's; the third top, in the shape of the labels, is
    the loss of each, 0 where it is ignored. It passes no gradient.
    """

    type = "SoftmaxWithLossOHEM"
    origin = "R-FCN"
    tops = Count(1, 3)

    gives_losses: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SoftmaxWithLossOHEM:
        check_loss_weights(param)
        check_softmax(param)
        return cls(
            axis=param.softmax_param.axis,
            averaging=Averaging.from_param(param.loss_param),
            gives_prob=len(param.top) > 1,
            gives_losses=len(param.top) > 2,
        )

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        shapes = super().out_shapes(bottoms)
        return (*shapes, tuple(bottoms[1])) if self.gives_losses else shapes

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SoftmaxSaved]:
        emitted = super().emit(g, bottoms, params, states)
        if not self.gives_losses:
            return emitted
        scores, label = bottoms
        saved = emitted.saved
        logarithm = g.op("Log", g.op("Max", saved.prob_of_label, g.const(FLT_MIN)))
        losses = saved.labels.counted(g, g.op("Neg", logarithm))
        dims = tuple(1 if axis == self.axis % scores.rank else d for axis, d in enumerate(scores.dims))
        top = shaped_like(g, Value(losses, dims), label)
        return replace(emitted, tops=(*emitted.tops, top))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        tops = super().reference(bottoms, params, states).tops
        if not self.gives_losses:
            return Referenced(tops)
        values, counted = reference_labels(bottoms[1], self.averaging.ignore_label)
        rows = reference_rows(tops[1], self.axis)
        losses = -np.log(np.maximum(rows[np.arange(len(rows)), values], FLT_MIN)) * counted
        return Referenced((*tops, losses.reshape(bottoms[1].shape)))

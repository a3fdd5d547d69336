"""FocalLoss: SoftmaxWithLoss in which what is right already counts little (a loss of several forks; not from
BVLC Caffe).

Sources: zimenglan-sysu-512/Focal-Loss, and happynear/caffe-windows, which adds the type ONEADDP, field
``focal_loss_param``; chenbinghui1/Hybrid-Attention-based-Decoupled-Metric-Learning for the other type. "Focal
Loss for Dense Object Detection", section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array, Count, Emitted, Referenced, Shapes, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.focus import Focus
from vggrepro.layers.rules.loss import (
    FLT_MIN,
    Averaging,
    check_first_sizes,
    check_label_count,
    check_loss_weights,
    check_softmax,
    class_index,
    from_zero,
    reference_labels,
    reference_rows,
)
from vggrepro.layers.rules.steep_softmax import SavedSoftmax, SteepSoftmax
from vggrepro.layers.softmax import Softmax


@register
@dataclass(frozen=True)
class FocalLoss(SteepSoftmax):
    """Bottoms: scores (N, C, ...) and labels, one for each position. Tops: the loss (), and optionally the
    probabilities, through which no gradient enters.

    A label of probability p loses ``-alpha (1 - p)^gamma log(p)``, with the type ONEADDP ``-(1 + p)^gamma
    log(p)``; ``loss_param`` averages as in SoftmaxWithLoss. Forks differ in the default of ``alpha``, so it
    must be given or the fork be named. ``type: LINEAR``, which the forks take for ORIGIN, is refused, and so
    are focal losses of a sigmoid, which have a label for each score. ``beta`` is LINEAR's alone.
    """

    type = "FocalLoss"
    origin = "zimenglan, happynear"
    tops = Count(1, 2)

    focus: Focus
    axis: int = 1
    averaging: Averaging = field(default_factory=Averaging)
    gives_prob: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FocalLoss:
        p = param.focal_loss_param
        adds = p.type == p.ONEADDP
        if p.type == p.LINEAR or (adds and p.HasField("alpha") and p.alpha != 1):
            raise UnsupportedError(
                "focal_loss_param: type LINEAR, and ONEADDP with alpha other than 1 are not implemented"
            )
        if not adds and not p.HasField("alpha"):
            raise UnsupportedError(
                "focal_loss_param: forks differ in the default of alpha: give it, or name the fork:"
                " zimenglan (0.25), happynear (1)"
            )
        return cls._from(param, Focus(1.0 if adds else p.alpha, p.gamma, adds))

    @classmethod
    def _from(cls, param: Any, focus: Focus) -> FocalLoss:
        check_loss_weights(param)
        check_softmax(param)
        averaging = Averaging.from_param(param.loss_param)
        return cls(focus, param.softmax_param.axis, averaging, len(param.top) > 1)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        axis = check_label_count(bottoms, self.axis, "softmax")
        if bottoms[0][axis] == 1:
            raise UnsupportedError(f"{self.type} of one class: a focal loss of a sigmoid is not implemented")
        return ((), tuple(bottoms[0])) if self.gives_prob else ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, bottoms[0][self.axis], self.averaging.ignore_label)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SavedSoftmax]:
        scores, label = bottoms
        axis = self.axis % scores.rank
        labels = class_index(g, scores, label, axis, self.averaging.ignore_label)
        (prob,) = Softmax(axis).emit(g, [scores], (), ()).tops  # (N, C, ...)
        own = g.op("GatherElements", prob, labels.index, axis=axis)  # (N, 1, ...)
        losses = from_zero(g, g.op("Log", g.op("Max", own, g.const(FLT_MIN))))
        focused, steepness = self.focus.emit(g, own, losses)
        divisor = self.averaging.divisor(g, scores, label, axis, labels.ignored)
        loss = g.op("Div", g.op("ReduceSum", labels.counted(g, focused), keepdims=0), divisor)
        saved = SavedSoftmax(prob, labels, steepness, divisor)
        return Emitted((loss, prob) if self.gives_prob else (loss,), saved)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, label = bottoms
        (prob,) = Softmax(self.axis).reference([x], (), ()).tops
        values, counted = reference_labels(label, self.averaging.ignore_label)
        rows = reference_rows(prob, self.axis)  # (labels, C)
        own = rows[np.arange(len(rows)), values]
        losses = self.focus.reference(own, -np.log(np.maximum(own, FLT_MIN)))
        outer = math.prod(x.shape[: self.axis % x.ndim])
        loss = losses[counted].sum() / self.averaging.reference_divisor(outer, counted)
        return Referenced((loss, prob) if self.gives_prob else (loss,))


@register
@dataclass(frozen=True)
class SoftmaxWithFocalLoss(FocalLoss):
    """FocalLoss with fields of its own, ``softmax_focal_loss_param``, where alpha is 0.25 by default.

    DEVIATION: the gradient is the loss's; the fork's CPU code takes (1 - p) of each score for the label's.
    """

    type = "SoftmaxWithFocalLoss"
    origin = "chenbinghui1"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FocalLoss:
        p = param.softmax_focal_loss_param
        return cls._from(param, Focus(p.alpha, p.gamma))

"""CenterLoss: how far inputs are from the learned centres of their classes (caffe-face's layer; not from BVLC
Caffe).

Source: ydwen/caffe-face, field ``center_loss_param``. "A Discriminative Feature Learning Approach for Deep
Face Recognition", section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import LossLayer, count, instance_labels, shaped_like


class _Saved(NamedTuple):
    x: Value
    away: Value
    """Inputs less the centres of their classes, (M, K)."""
    labels: str
    """(M, 1), int64."""


@register
@dataclass(frozen=True)
class CenterLoss(LossLayer[_Saved]):
    """Bottoms: M inputs of K numbers (M, ...) and their labels (M). Top: the loss (), the sum of the squared
    distances of the inputs from the centres of their classes, divided by 2 M. The centres (num_output, K) are
    learned.

    A centre's gradient is the layer's own: the sum of its distances from the M' inputs of its class, divided
    by 1 + M', whatever the loss weighs.
    """

    type = "CenterLoss"
    origin = "caffe-face"

    classes: int
    filler: Any = field(default_factory=FillerParameter)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CenterLoss:
        p = param.center_loss_param
        if p.num_output < 1:
            raise NetError("num_output 0: must be > 0")
        if p.axis != 1:
            raise UnsupportedError(f"center_loss_param: axis {p.axis}, only 1 is implemented")
        return cls(p.num_output, p.center_filler)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, self.classes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, labels = bottoms
        if len(x) < 2 or labels[:1] != x[:1] or prod(labels) != x[0]:
            raise ShapeError(f"bottom[1] must hold one label for each input, got shapes {x} and {labels}")
        return ((),)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return (ParamDef((self.classes, prod(bottoms[0][1:])), self.filler),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        rows = Value(g.op("Flatten", x.name, axis=1), (x.dims[0], params[0].dims[1]))
        labels = instance_labels(g, rows, bottoms[1])
        own = g.op("GatherND", params[0].name, labels)
        away = Value(g.op("Sub", rows.name, own), rows.dims)
        total = g.op("ReduceSumSquare", away.name, keepdims=0)
        loss = g.op("Div", total, g.op("Mul", count(g, x, 0, 1), g.const(2)))
        return Emitted((loss,), _Saved(x, away, labels))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None:
            return Gradients((None, None), (None,))
        d_x = d_centres = None
        if needed.bottoms[0]:
            weight = g.op("Div", d_tops[0], count(g, saved.x, 0, 1))
            slopes = Value(g.op("Mul", saved.away.name, weight), saved.away.dims)
            d_x = shaped_like(g, slopes, saved.x)
        if needed.params[0]:
            one = g.op("Equal", saved.labels, g.const(np.arange(self.classes)[None], np.int64))
            one = g.op("Transpose", g.op("Cast", one, to=FLOAT), perm=[1, 0])  # (classes, M)
            number = g.op("Add", g.op("ReduceSum", one, g.ints([1])), g.const(1))
            d_centres = g.op("Div", g.op("Neg", g.op("MatMul", one, saved.away.name)), number)
        return Gradients((d_x, None), (d_centres,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, labels = bottoms
        centres = params[0][np.trunc(labels.reshape(-1)).astype(int)]
        return Referenced((((x.reshape(len(x), -1) - centres) ** 2).sum() / (2 * len(x)),))

"""YoloSeg: how far the maps of a net that segments beside its boxes are from the right ones (MobileNet-YOLO's
layer; not from BVLC Caffe).

Source: eric612/MobileNet-YOLO, field ``yolo_seg_param``, as long as the layer had two bottoms. What the last
versions do with a third one, weights of classes, is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.loss import LossLayer, check_first_sizes, count, shaped_like


class _Saved(NamedTuple):
    x: Value
    slopes: str


@register
@dataclass(frozen=True)
class YoloSeg(LossLayer[_Saved]):
    """Bottoms: scores (N, ...) and what their sigmoids should be, as many numbers. Top: the loss (), the N-th
    part of the sum of the squares of the differences times ``object_scale``. The N-th part of these is the
    gradient, without the derivatives of the sigmoids. ``num_class`` and ``class_scale`` have no effect."""

    type = "YoloSeg"
    origin = "MobileNet-YOLO"

    scale: float = 5.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> YoloSeg:
        p = param.yolo_seg_param
        for field in ("use_logic_gradient", "use_hardsigmoid"):
            if getattr(p, field):
                raise UnsupportedError(f"yolo_seg_param: {field} is not implemented")
        return cls(p.object_scale)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        if prod(bottoms[0]) != prod(bottoms[1]):
            raise ShapeError(
                f"YoloSeg layer inputs must have the same count. ({bottoms[0]} vs. {bottoms[1]})"
            )
        return ((),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, right = bottoms
        away = g.op("Sub", g.op("Sigmoid", x.name), shaped_like(g, right, x))
        slopes = g.op("Mul", away, g.const(self.scale))
        loss = g.op("Div", g.op("ReduceSumSquare", slopes, keepdims=0), count(g, x, 0, 1))
        return Emitted((loss,), _Saved(x, slopes))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        return Gradients((g.op("Mul", saved.slopes, g.op("Div", d_tops[0], count(g, saved.x, 0, 1))), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, right = bottoms
        slopes = self.scale * (1 / (1 + np.exp(-x)) - right.reshape(x.shape))
        return Referenced((np.asarray((slopes**2).sum() / len(x)),))

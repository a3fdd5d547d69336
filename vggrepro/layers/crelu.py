"""CReLU: a ReLU of x beside a ReLU of -x (Cambricon's layer; not from BVLC Caffe).

Source: Cambricon/caffe, field ``crelu_param``. "Understanding and Improving Convolutional Neural Networks via
Concatenated Rectified Linear Units".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Layer, Referenced, Shapes, register
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class CReLU(Layer[None]):
    """The top has twice the bottom's size along ``axis``: ``relu(x)``, then ``relu(-x)``, a ReLU giving
    ``max(x, 0) + negative_slope * min(x, 0)``. The fork has no backward pass."""

    type = "CReLU"
    origin = "Cambricon"
    has_gradient = False

    negative_slope: float = 0.0
    axis: int = 1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CReLU:
        p = param.crelu_param
        return cls(p.negative_slope, p.concat_axis)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        axis = canonical_axis(self.axis, shape, "CReLU")
        return ((*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        (x,) = bottoms
        both = g.op("Concat", x.name, g.op("Neg", x.name), axis=self.axis % x.rank)
        if self.negative_slope:
            return Emitted((g.op("LeakyRelu", both, alpha=self.negative_slope),), None)
        return Emitted((g.op("Relu", both),), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        halves = [np.maximum(half, 0) + self.negative_slope * np.minimum(half, 0) for half in (x, -x)]
        return Referenced((np.concatenate(halves, axis=self.axis),))

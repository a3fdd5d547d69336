"""GRN: vectors across the channels divided by their lengths (a layer of forks; not from BVLC Caffe).

Sources: openvinotoolkit/training_toolbox_caffe, field ``grn_param``; OpenVINO, which knows the same rule.
Forks without the field (ylongqi/fooddist and others) have no bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.loss import check_legacy, shaped_like


class _Saved(NamedTuple):
    x: Value
    unit: str
    length: str
    """Size 1 on the channel axis."""


@register
@dataclass(frozen=True)
class GRN(Layer[_Saved]):
    """Bottom (N, C), (N, C, H) or (N, C, H, W), top (N, C, H, W) with sizes of 1 for axes that the bottom
    lacks: ``x / sqrt(bias + sum(x^2))``, the sum running over the channels at each place."""

    type = "GRN"
    origin = "OpenVINO's training toolbox"

    bias: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> GRN:
        p = param.grn_param
        if not param.HasField("grn_param"):
            raise UnsupportedError(
                "GRN without grn_param: forks differ; grn_param { bias: 0 } tells the plain length, and the"
                " fork openvino a bias of 1"
            )
        if not p.bias >= 0:
            raise NetError(f"Bias must be >=0. (got {p.bias:g})")
        return cls(p.bias)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        check_legacy(shape)
        if len(shape) < 2:
            raise ShapeError(f"bottom[0] must be (N, C), (N, C, H) or (N, C, H, W), got shape {shape}")
        return ((*shape, *(1,) * (4 - len(shape))),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        squares = g.op("ReduceSumSquare", x.name, g.ints([1]))
        length = g.op("Sqrt", g.op("Add", squares, g.const(self.bias)) if self.bias else squares)
        unit = g.op("Div", x.name, length)
        missing = 4 - x.rank
        top = g.op("Reshape", unit, g.ints([0] * x.rank + [1] * missing)) if missing else unit
        return Emitted((top,), _Saved(x, unit, length))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        x, unit, length = saved
        dy = d_tops[0] if x.rank == 4 else shaped_like(g, Value(d_tops[0], (None,) * 4), x)
        along = g.op("Mul", unit, g.op("ReduceSum", g.op("Mul", dy, unit), g.ints([1])))
        return Gradients((g.op("Div", g.op("Sub", dy, along), length),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        unit = x / np.sqrt(self.bias + np.square(x).sum(1, keepdims=True))
        return Referenced((unit.reshape(self.out_shapes([x.shape])[0]),))

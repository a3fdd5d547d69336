"""FixedNeuron: values in fixed point, whose position a quantised net brings along (a layer of Xilinx's Caffe;
not from BVLC Caffe).

Source: Xilinx/Vitis-AI (caffe-xilinx), field ``fixed_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    register,
)


@register
@dataclass(frozen=True)
class FixedNeuron(Layer[None]):
    """Top: the bottom in multiples of ``2 ** -p`` that fit into ``bit_width`` bits, the nearest one, of two
    the upper one; with ``follow_data_layer`` the one toward 0, whatever its size. The parameter (1,) holds p,
    rounded down. The gradient goes through. With ``enable: false`` nothing is rounded. ``fixed_method``,
    ``moving_average_fraction`` and ``fix_info`` say how p is found in TRAIN.

    DEVIATION: in TRAIN, where the fork looks for the best p, only ``enable: false`` is implemented.
    """

    type = "FixedNeuron"
    origin = "Xilinx"

    bits: int = 8
    toward_zero: bool = False
    enabled: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FixedNeuron:
        p = param.fixed_param
        if p.enable and phase == TRAIN:
            raise UnsupportedError("fixed_param: positions are not looked for; in TRAIN set enable: false")
        if not 1 <= p.bit_width <= 24:
            raise NetError(f"fixed_param: bit_width must be 1 to 24, got {p.bit_width}")
        return cls(p.bit_width, p.follow_data_layer, p.enable)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (bottoms[0],)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return (ParamDef((1,), statistic=True),)

    @property
    def _ends(self) -> tuple[int, int]:
        half = 1 << (self.bits - 1)
        return -half, half - 1

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        (x,) = bottoms
        if not self.enabled:
            return Emitted((g.op("Identity", x.name),), saved=None)
        position = g.op("Floor", params[0].name)
        steps = g.op("Mul", x.name, g.op("Pow", g.const(2), position))
        below = g.op("Floor", steps)
        if self.toward_zero:
            whole = g.op("Where", g.op("Less", steps, g.const(0)), g.op("Ceil", steps), below)
        else:
            up = g.op("GreaterOrEqual", g.op("Sub", steps, below), g.const(0.5))
            nearest = g.op("Add", below, g.op("Cast", up, to=FLOAT))
            whole = g.op("Clip", nearest, *(g.const(end) for end in self._ends))
        return Emitted((g.op("Mul", whole, g.op("Pow", g.const(2), g.op("Neg", position))),), saved=None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return Gradients((d_tops[0],), (None,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        if not self.enabled:
            return Referenced((x,))
        steps = x * 2.0 ** np.floor(params[0])
        whole = np.trunc(steps) if self.toward_zero else np.clip(np.floor(steps + 0.5), *self._ends)
        return Referenced((whole * 2.0 ** -np.floor(params[0]),))

"""LpNormalization: vectors along one axis divided by their lengths (Synopsys' layer; not from BVLC Caffe).

Source: synopsys-caffe, field ``lp_normalization_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class LpNormalization(Layer[None]):
    """Bottom and top of one shape: vectors along ``axis`` divided by the sum of their sizes (``p: 1``) or the
    root of the sum of their squares (``p: 2``). Vectors of zeros give no numbers. The defaults are not known,
    so both fields must be given. The fork has no backward pass."""

    type = "LpNormalization"
    origin = "Synopsys"
    has_gradient = False

    axis: int
    squares: bool

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LpNormalization:
        p = param.lp_normalization_param
        if not p.HasField("axis") or p.p not in (1, 2):
            raise UnsupportedError("lp_normalization_param: axis, and p of 1 or 2, must be given")
        return cls(p.axis, p.p == 2)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        canonical_axis(self.axis, bottoms[0], self.type)
        return (bottoms[0],)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0]
        axis = g.ints([canonical_axis(self.axis, x.dims, self.type)])
        length = g.op("ReduceSumSquare" if self.squares else "ReduceL1", x.name, axis)
        return Emitted((g.op("Div", x.name, g.op("Sqrt", length) if self.squares else length),), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        length = np.linalg.norm(x, 2 if self.squares else 1, self.axis, keepdims=True)
        return Referenced((np.asarray(x / length),))

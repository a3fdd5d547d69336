"""Normalize with ``normalize_param``: vectors divided by their lengths (NormFace's layer; not from BVLC
Caffe).

Source: happynear/caffe-windows. "NormFace: L2 Hypersphere Embedding for Face Verification", section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Referenced,
    Shapes,
)
from vggrepro.layers.rules.loss import check_legacy, shaped_like

EPSILON = 1e-6


class _Saved(NamedTuple):
    x: Value
    unit: str
    length: str


@dataclass(frozen=True)
class LengthNormalize(Layer[_Saved]):
    """Bottom (N, C), (N, C, W) or (N, C, H, W), top (N, C, H, W): at each place the vector of channels,
    divided by ``sqrt(sum(x^2) + 1e-6)`` (L2) or ``sum(|x|) + 1e-6`` (L1). Second top (N, 1, H, W): these
    lengths, through which a gradient comes only with ``bp_norm``. Heights and widths that the bottom lacks
    are 1.
    """

    type = "Normalize"
    origin = "happynear"
    tops = Count(1, 2)

    squares: bool = True
    gives_lengths: bool = False
    through_lengths: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LengthNormalize:
        p = param.normalize_param
        if p.normalize_type not in ("L1", "L2") or p.fix_gradient:
            raise UnsupportedError(
                "normalize_param: only normalize_type 'L2' and 'L1', and fix_gradient: false are implemented,"
                f" got {p.normalize_type!r}, {str(p.fix_gradient).lower()}"
            )
        second = len(param.top) > 1
        return cls(p.normalize_type == "L2", second, second and p.bp_norm)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = bottoms
        check_legacy(x)
        n, c, h, w = (*x, *[1] * (4 - len(x)))
        return ((n, c, h, w), (n, 1, h, w)) if self.gives_lengths else ((n, c, h, w),)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        planes = x.name if x.rank == 4 else g.op("Unsqueeze", x.name, g.ints(range(x.rank, 4)))
        kind = "ReduceSumSquare" if self.squares else "ReduceL1"
        length = g.op("Add", g.op(kind, planes, g.ints([1])), g.const(EPSILON))
        if self.squares:
            length = g.op("Sqrt", length)
        unit = g.op("Div", planes, length)
        return Emitted((unit, length)[: 1 + self.gives_lengths], _Saved(x, unit, length))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The fork's rule, ``(dy - u sum(y dy)) / length`` with u the top y, or for L1 the sign of x. For L2
        that is calculus up to the 1e-6 in the length."""
        d_unit, *rest = d_tops
        d_length = rest[0] if rest and self.through_lengths else None
        if not needed.bottoms[0] or (d_unit is None and d_length is None):
            return Gradients((None,))
        along = saved.unit if self.squares else g.op("Sign", saved.unit)
        found = []
        if d_unit is not None:
            total = g.op("ReduceSum", g.op("Mul", saved.unit, d_unit), g.ints([1]))
            found.append(g.op("Div", g.op("Sub", d_unit, g.op("Mul", along, total)), saved.length))
        if d_length is not None:
            found.append(g.op("Mul", along, d_length))
        dims = (*saved.x.dims, *[1] * (4 - saved.x.rank))
        return Gradients((shaped_like(g, Value(g.sum_in_order(found), dims), saved.x),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0].reshape(self.out_shapes([bottoms[0].shape])[0])
        if self.squares:
            length = np.sqrt((x**2).sum(1, keepdims=True) + EPSILON)
        else:
            length = np.abs(x).sum(1, keepdims=True) + EPSILON
        return Referenced((x / length, length)[: 1 + self.gives_lengths])

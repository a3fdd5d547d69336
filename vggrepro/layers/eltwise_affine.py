"""EltwiseAffine: each channel times a number, plus a number (forks' layer; not from BVLC Caffe).

Sources: happynear/caffe-windows, MVIG-SJTU/RMPE and ducha-aiki/caffe, field ``eltwise_affine_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    register,
)


class _Saved(NamedTuple):
    x: Value
    slope: str
    """(C, 1, ...), or a single number."""


@register
@dataclass(frozen=True)
class EltwiseAffine(Layer[_Saved]):
    """Bottom and top (N, C, ...), ``slope * x + bias`` with slopes and biases (C,), or () with
    ``channel_shared``. Without fillers slopes begin at 1.0001 and biases at 0.0001, as in the fork.
    """

    type = "EltwiseAffine"
    origin = "happynear"
    in_place = True

    shared: bool
    fillers_of: tuple[Any, Any]
    """Of slopes and biases."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> EltwiseAffine:
        p = param.eltwise_affine_param
        given = (
            getattr(p, name) if p.HasField(name) else FillerParameter(type="constant", value=value)
            for name, value in (("slope_filler", 1.0001), ("bias_filler", 0.0001))
        )
        slope, bias = given
        return cls(p.channel_shared, (slope, bias))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2, got shape {bottoms[0]}")
        return (bottoms[0],)

    def reach(self, bottom: Shape) -> Reach | None:
        return Reach((1, 1), (1, 1)) if len(bottom) == 4 else None

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        shape = () if self.shared else (bottoms[0][1],)
        return tuple(ParamDef(shape, filler) for filler in self.fillers_of)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = bottoms[0]
        column = g.ints([-1, *[1] * (x.rank - 2)])
        slope, bias = (g.op("Reshape", param.name, column) for param in params)
        return Emitted((g.op("Add", g.op("Mul", x.name, slope), bias),), _Saved(x, slope))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None:
            return Gradients((None,), (None, None))
        axes = g.ints([axis for axis in range(saved.x.rank) if self.shared or axis != 1])
        d_slope = (
            g.op("ReduceSum", g.op("Mul", dy, saved.x.name), axes, keepdims=0) if needed.params[0] else None
        )
        d_bias = g.op("ReduceSum", dy, axes, keepdims=0) if needed.params[1] else None
        dx = g.op("Mul", dy, saved.slope) if needed.bottoms[0] else None
        return Gradients((dx,), (d_slope, d_bias))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        slope, bias = (param.reshape(-1, *[1] * (x.ndim - 2)) for param in params)
        return Referenced((slope * x + bias,))

"""Downsample: a picture made smaller, of which some values may be missing (FlowNet's layer; not from BVLC
Caffe).

Source: lmb-freiburg/flownet2, field ``downsample_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Layer,
    Reach,
    Referenced,
    Shapes,
    register,
)


@register
@dataclass(frozen=True)
class Downsample(Layer[None]):
    """Bottoms: pictures (N, C, H, W), and one of the wanted height and width H' and W', which
    ``top_height`` and ``top_width`` give otherwise. Top (N, C, H', W').

    Corners stay corners, and a value of the top is the mean of those nearer than ``(H - 1) / (H' - 1)`` rows
    and ``(W - 1) / (W' - 1)`` columns, each weighted by its nearness. Values that are no numbers are left
    out; where they would weigh more than half of the others, the top is none either. There is no gradient.
    """

    type = "Downsample"
    origin = "FlowNet"
    bottoms = Count(1, 2)
    blind_bottoms = silent_bottoms = frozenset({1})
    has_gradient = False

    size: tuple[int, int] = (0, 0)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Downsample:
        p = param.downsample_param
        return cls((p.top_height, p.top_width))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, *other = bottoms
        if any(len(shape) != 4 for shape in bottoms):
            raise ShapeError(f"bottoms must have 4 axes, got shapes {tuple(bottoms)}")
        size = tuple(other[0][2:]) if other else self.size
        for name, wanted, there in zip(("height", "width"), size, x[2:], strict=True):
            if not (wanted == there > 0 or 1 < wanted < there):
                raise ShapeError(f"Downsample: a top {name} of {wanted} from {there}; expected 2 to {there}")
        return ((*x[:2], *size),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0]
        (top,) = self.out_shapes([bottom.shape for bottom in bottoms])
        if top == x.shape:
            return Emitted((x.name,), None)
        rows, columns = (_nearness(*sizes) for sizes in zip(x.shape[2:], top[2:], strict=True))

        def weighed(values: str) -> str:
            return g.op("MatMul", g.const(rows), g.op("MatMul", values, g.const(columns.T)))

        there = g.op("Equal", x.name, x.name)  # not so NaN
        total = weighed(g.op("Where", there, x.name, g.const(0)))
        weight = weighed(g.op("Cast", there, to=FLOAT))
        missing = weighed(g.op("Cast", g.op("Not", there), to=FLOAT))
        many = g.op("Greater", missing, g.op("Mul", weight, g.const(0.5)))
        return Emitted((g.op("Where", many, g.const(np.nan), g.op("Div", total, weight)),), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([bottom.shape for bottom in bottoms])
        if shape == x.shape:
            return Referenced((x,))
        there = ~np.isnan(x)
        rows, columns = (_nearness(*sizes) for sizes in zip(x.shape[2:], shape[2:], strict=True))
        total, weight, missing = (
            np.einsum("ih,nchw,jw->ncij", rows, values, columns)
            for values in (np.where(there, x, 0), there, ~there)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            return Referenced((np.where(missing > 0.5 * weight, np.nan, total / weight),))


def _nearness(size: int, wanted: int) -> Array:
    """What each place of an axis counts for each place of the smaller one, (wanted, size)."""
    if size == wanted:
        return np.eye(size)
    step = (size - 1) / (wanted - 1)
    apart = np.abs(np.arange(size) - step * np.arange(wanted)[:, None])
    return np.maximum(0, 1 - apart / step)

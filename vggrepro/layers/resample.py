"""Resample: another height and width (FlowNet's Resample layer; not from BVLC Caffe).

Sources: lmb-freiburg/flownet2, field ``resample_param``; OpenVINO's layer of this name, as OpenCV 4 reads it,
for ``factor``, which FlowNet's does not look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Count, Emitted, Layer, Reach, Referenced, Shapes, register

REACH = {"LINEAR": 2, "CUBIC": 4}
"""How many places an output may look away where nothing is made larger."""


@register
@dataclass(frozen=True)
class Resample(Layer[None]):
    """Bottom (N, C, H, W), top (N, C, H', W'): ``size``, or that of a second bottom, or ``factor`` times that
    of the first.

    An element's centre lies at ``i * f + g / 2 - 1/2`` of the bottom, f being how many times smaller the top
    is along this axis, and g along the other one, as FlowNet has it. NEAREST takes the place next to it.
    LINEAR and CUBIC (a = -1/2) weigh those around it, weights of places outside shared among those inside.
    Where the top is smaller, ``antialias`` widens the weights by f along both axes.

    ``factor`` needs NEAREST, and to be at least 1. DEVIATION: places outside of the bottom, where FlowNet
    reads other memory, count as those at its edge.
    """

    type = "Resample"
    origin = "FlowNet, OpenVINO"
    bottoms = Count(1, 2)
    has_gradient = False

    kind: str
    size: tuple[int, int] | None = None
    factor: float | None = None
    antialias: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Resample:
        p = param.resample_param
        kind = p.ResampleType.Name(p.type)
        if kind == "AREA":
            raise NetError("ResampleLayer: only CUBIC, LINEAR and NEAREST interpolation is supported for now")
        if len(param.bottom) == 2:
            return cls(kind, antialias=p.antialias)
        if p.HasField("factor") and not (p.HasField("height") or p.HasField("width")):
            if kind != "NEAREST" or p.factor < 1:
                raise UnsupportedError(
                    f"resample_param: factor {p.factor:g} with {kind}, only NEAREST from 1 on is implemented"
                )
            return cls(kind, factor=p.factor)
        if p.height < 1 or p.width < 1:
            raise NetError("ResampleLayer must have top_height > 0 and top_width > 0: height and width")
        return cls(kind, (p.height, p.width), antialias=p.antialias)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        for index, shape in enumerate(bottoms):
            if len(shape) != 4:
                raise ShapeError(f"bottom[{index}] must be (N, C, H, W), got shape {shape}")
        x, *other = bottoms
        if other:
            return ((*x[:2], *other[0][2:]),)
        if self.factor is not None:
            return ((*x[:2], *(int(size * self.factor) for size in x[2:])),)
        return ((*x[:2], *(self.size or x[2:])),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        shapes = [Value(b.name, (1, 1, *b.dims[2:])).shape for b in bottoms]
        top, (rows, columns) = bottoms[0].name, self._axes(shapes)
        if self.kind == "NEAREST":
            top = g.op("Gather", top, g.ints(rows.tolist()), axis=2)
            return Emitted((g.op("Gather", top, g.ints(columns.tolist()), axis=3),), None)
        return Emitted((g.op("MatMul", g.const(rows), g.op("MatMul", top, g.const(columns.T))),), None)

    def _axes(self, shapes: Shapes) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """For height and width which place each element is, or what of each place it has, (H', H)."""
        (top,) = self.out_shapes(shapes)
        sizes, inner = np.array(top[2:]), np.array(shapes[0][2:])
        steps = np.float32(inner) / np.float32(sizes)
        wide = self.antialias and bool((steps > 1).any())
        down, across = (
            self._axis(int(sizes[i]), int(inner[i]), (steps[i], steps[1 - i]), wide) for i in (0, 1)
        )
        return down, across

    def _axis(
        self, size: int, inner: int, steps: tuple[np.float32, np.float32], wide: bool
    ) -> npt.NDArray[Any]:
        at = np.arange(size, dtype=np.float32) * steps[0] + steps[1] / 2 - np.float32(0.5)
        near = np.trunc(at + np.copysign(np.float32(0.5), at))
        if self.kind == "NEAREST":
            index: npt.NDArray[np.int64] = near.clip(0, inner - 1).astype(np.int64)
            return index
        scale = float(1 / steps[0]) if wide else 1.0
        reach = 2 if steps[0] < 1 else ceil(REACH[self.kind] / scale)
        places = np.arange(inner)
        weights = self._weights(scale * (at[:, None] - np.asarray(places, np.float64)))
        weights = np.where(np.abs(places - near[:, None]) <= reach, weights, 0)
        total = weights.sum(1, keepdims=True)
        result: Array = np.divide(weights, total, out=np.zeros_like(weights), where=total != 0)
        return result

    def _weights(self, distance: Array) -> Array:
        x = np.abs(distance)
        if self.kind == "LINEAR":
            linear: Array = np.maximum(1 - x, 0)
            return linear
        near, far = x**2 * (1.5 * x - 2.5) + 1, x * (x * (2.5 - 0.5 * x) - 4) + 2
        cubic: Array = np.where(x <= 1, near, np.where(x < 2, far, 0))
        return cubic

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        rows, columns = self._axes([b.shape for b in bottoms])
        if self.kind == "NEAREST":
            return Referenced((bottoms[0][:, :, rows][:, :, :, columns],))
        return Referenced((rows @ bottoms[0] @ columns.T,))

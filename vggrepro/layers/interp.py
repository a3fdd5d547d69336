"""Interp: bilinear resizing in which corners stay corners (DeepLab's layer; not from BVLC Caffe).

Sources: DeepLab v2, and PSPNet (hszhao/PSPNet) which allows less of the same; OpenVINO's Model Optimizer,
whose Caffe models have another rule for ``zoom_factor``. Field ``interp_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.resizing import corner_weights, resized, without_transposes


@register
@dataclass(frozen=True)
class Interp(Layer[tuple[Value, ...]]):
    """Bottom (N, C, H, W), top (N, C, H', W').

    Height and width are first cut by ``crop`` (the pads, which must not be positive), then shrunk and
    zoomed: ``((H - 1) // shrink) * zoom + 1``. ``size`` or the sizes of a second bottom replace that;
    the second bottom gives its shape alone. With ``multiplies`` (the fork ``openvino``) a zoom alone makes H
    * zoom of H.
    """

    type = "Interp"
    origin = "DeepLab v2, PSPNet"
    bottoms = Count(1, 2)

    shrink: int = 1
    zoom: int = 1
    size: tuple[int, int] | None = None
    crop: tuple[int, int] = (0, 0)
    like: bool = False
    """Whether the second bottom tells the size."""
    multiplies: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Interp:
        """What gives the size is looked for in DeepLab's order: one factor alone, then height and width, then
        both factors, then the second bottom."""
        p = param.interp_param
        given = {field.name for field, _ in p.ListFields()}
        if p.interp_type != "bilinear":
            raise UnsupportedError(f"interp_param: interp_type {p.interp_type} is not implemented")
        if p.pad_beg > 0 or p.pad_end > 0:
            raise NetError(f"Only supports non-pos padding (cropping) for now ({p.pad_beg}, {p.pad_end})")
        for name in ("shrink", "zoom"):
            factor = getattr(p, f"{name}_factor")
            if factor < 1:
                raise NetError(f"{name.capitalize()} factor must be positive, got {factor}")
        factors = given & {"shrink_factor", "zoom_factor"}
        crop = (-p.pad_beg, -p.pad_end)
        if {"height", "width"} <= given and len(factors) != 1:
            if p.height < 1 or p.width < 1:
                raise NetError(f"height should be positive, width should be positive: {p.height}, {p.width}")
            return cls(size=(p.height, p.width), crop=crop)
        multiplies = p.zoom_multiplies and p.shrink_factor == 1
        return cls(p.shrink_factor, p.zoom_factor, crop=crop, like=not factors, multiplies=multiplies)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, *other = bottoms
        if len(x) != 4:
            raise ShapeError(f"Input must have 4 axes, corresponding to (num, channels, height, width): {x}")
        inside = self._inside(x)
        if min(inside) < 1:
            raise ShapeError(f"height should be positive, width should be positive: {inside} after cropping")
        if self.size is not None:
            return ((*x[:2], *self.size),)
        if not self.like:
            return ((*x[:2], *map(self._zoomed, inside)),)
        if not other or len(other[0]) != 4:
            raise ShapeError(
                "Output dimension specified either by zoom factor or shrink factor or the 2nd bottom or"
                f" explicitly; got bottoms of shape {tuple(bottoms)}"
            )
        return ((*x[:2], *other[0][2:]),)

    def _zoomed(self, size: int) -> int:
        return size * self.zoom if self.multiplies else (size - 1) // self.shrink * self.zoom + 1

    def _inside(self, x: Shape) -> Shape:
        return tuple(n - sum(self.crop) for n in x[2:])

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[Value, ...]]:
        x = without_transposes(g, bottoms[0])
        if any(self.crop):
            begin, end = self.crop
            ends = [np.iinfo(np.int64).max if end == 0 else -end] * 2
            x = g.op("Slice", x, g.ints([begin, begin]), g.ints(ends), g.ints([2, 3]))
        top = resized(g, x, self._sizes(g, x, bottoms[1:]))
        return Emitted((top,), saved=tuple(bottoms))

    def _sizes(self, g: GraphBuilder, x: str, other: Sequence[Value]) -> str:
        """Height and width of the top, from the cropped bottom."""
        if self.size is not None:
            return g.ints(self.size)
        if self.like:
            return g.op("Shape", other[0].name, start=2, end=4)
        if self.multiplies:
            return g.op("Mul", g.op("Shape", x, start=2, end=4), g.ints([self.zoom] * 2))
        steps = g.op("Sub", g.op("Shape", x, start=2, end=4), g.ints([1, 1]))
        zoomed = g.op("Mul", g.op("Div", steps, g.ints([self.shrink] * 2)), g.ints([self.zoom] * 2))
        return g.op("Add", zoomed, g.ints([1, 1]))

    def grad(
        self, g: GraphBuilder, saved: tuple[Value, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        """The transpose of what forward does along each axis, cropped margins included."""
        dy = d_tops[0]
        nothing = (None,) * (len(saved) - 1)
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, *nothing))
        rows, columns = self._matrices([b.shape for b in saved])
        dx = g.op("MatMul", g.const(rows.T), g.op("MatMul", dy, g.const(columns)))
        return Gradients((dx, *nothing))

    def _matrices(self, shapes: Shapes) -> tuple[Array, Array]:
        """For height and width what each element of the top is made of: (H', H) and (W', W)."""
        (top,) = self.out_shapes(shapes)
        inside = self._inside(shapes[0])
        rows, columns = (
            np.pad(corner_weights(size, inner), ((0, 0), self.crop))
            for size, inner in zip(top[2:], inside, strict=True)
        )
        return rows, columns

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        begin, end = self.crop
        x = bottoms[0][:, :, begin : bottoms[0].shape[2] - end, begin : bottoms[0].shape[3] - end]
        for axis in (2, 3):
            size, inner = shape[axis], x.shape[axis]
            at = np.linspace(0, inner - 1, size) if size > 1 else np.zeros(1)
            low = np.minimum(np.floor(at).astype(int), inner - 1)
            share = (at - low).reshape((-1,) + (1,) * (3 - axis))
            x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, inner - 1), axis) * share
        return Referenced((x,))

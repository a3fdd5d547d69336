"""Unpooling: maxima put back where pooling found them, or to the corners of the windows (DeconvNet's layer;
not from BVLC Caffe).

Source: HyeonwooNoh/caffe, the Caffe of DeconvNet, field ``unpooling_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import INT64, GraphBuilder, Shape, Value
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
from vggrepro.layers.rules.places import emit_put, emit_taken, put

Pair = tuple[int, int]


class _Saved(NamedTuple):
    x: Value
    places: str
    """Indices into the top's planes, (N, C, H * W), int64."""


@register
@dataclass(frozen=True)
class Unpooling(Layer[_Saved]):
    """Bottoms x (N, C, H, W) and, if given, the mask of the same shape: places in the top's planes. Without
    a mask the places are the multiples of the stride, or the last row or column. Top (N, C, H', W') of the
    given size.

    Where several values have the same place, the last one stays; CUDA does not promise that.
    """

    type = "Unpooling"
    origin = "DeconvNet"
    bottoms = Count(1, 2)

    size: Pair
    stride: Pair = (1, 1)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Unpooling:
        p = param.unpooling_param
        method = p.DESCRIPTOR.fields_by_name["unpool"].enum_type.values_by_number[p.unpool].name
        if method != "MAX":
            raise UnsupportedError(f"unpooling_param: unpool: {method} is not implemented, only MAX")
        if p.pad or p.pad_h or p.pad_w:
            raise NetError("currently, only zero padding is allowed.")
        kernel = _pair(p, "kernel_size", ("kernel_h", "kernel_w"))
        if kernel is None or min(kernel) < 1:
            raise NetError("Filter size is kernel_size OR kernel_h and kernel_w; not both")
        size = _pair(p, "unpool_size", ("unpool_h", "unpool_w"))
        if size is None or min(size) < 1:
            raise NetError("Unpool is unpool_size OR unpool_h and unpool_w are required.")
        stride = _pair(p, "stride", ("stride_h", "stride_w"))
        if stride is None and {"stride", "stride_h", "stride_w"} & {
            field.name for field, _ in p.ListFields()
        }:
            raise NetError("Stride is stride OR stride_h and stride_w are required.")
        if stride is not None and min(stride) < 1:
            raise NetError(f"Strides cannot be zero: {stride}")
        return cls(size, stride or (1, 1))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, *mask = bottoms
        if len(x) != 4:
            raise ShapeError(f"Input must have 4 axes, corresponding to (num, channels, height, width): {x}")
        if mask and mask[0] != x:
            raise ShapeError(f"the mask must have the input's shape {x}, got {mask[0]}")
        return ((*x[:2], *self.size),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x, *mask = bottoms
        if mask:
            places = g.op("Cast", g.op("Reshape", mask[0].name, g.ints([0, 0, -1])), to=INT64)
        else:
            corners = self._corners(Value(x.name, x.dims[2:]).shape)
            shape = g.op("Shape", g.op("Reshape", x.name, g.ints([0, 0, -1])))
            places = g.op("Expand", g.const(corners.reshape(1, 1, -1), np.int64), shape)
        return Emitted((emit_put(g, x, places, g.ints(self.size)),), saved=_Saved(x, places))

    def _corners(self, plane: Sequence[int]) -> Array:
        """Where the values of a plane go without a mask."""
        rows, columns = (
            np.minimum(np.arange(n) * step, size - 1)
            for n, step, size in zip(plane, self.stride, self.size, strict=True)
        )
        places: Array = rows[:, None] * self.size[1] + columns
        return places

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Each value gets the gradient of the place that it went to. The mask gets none."""
        dy = d_tops[0]
        nothing = (None,) * (len(needed.bottoms) - 1)
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, *nothing))
        return Gradients((emit_taken(g, dy, *saved), *nothing))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, *mask = bottoms
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        places = mask[0] if mask else self._corners(x.shape[2:])
        return Referenced((put(x, places, shape),))


def _pair(p: Any, both: str, each: tuple[str, str]) -> Pair | None:
    """What one field says for both axes, or two fields for an axis each; None unless exactly that is set."""
    given = [p.HasField(name) for name in each]
    if p.HasField(both):
        return None if any(given) else (getattr(p, both),) * 2
    return (getattr(p, each[0]), getattr(p, each[1])) if all(given) else None

"""Pooling whose windows have gaps, or sizes of their own along each of any number of axes (naibaf7's Caffe;
not from BVLC Caffe).

Source: naibaf7/caffe, ``dilation`` and several values of ``kernel_size``, ``stride`` and ``pad`` in
``pooling_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Referenced, Shapes
from vggrepro.layers.rules.folded import emit_folded
from vggrepro.layers.rules.pooling_nodes import LOWEST, pad
from vggrepro.layers.rules.unfold import offset_slices, unfold
from vggrepro.layers.rules.window import Windows, pool_end_pad, pool_size


def has_axes_of_its_own(param: Any) -> bool:
    """Whether a ``pooling_param`` is one for :class:`PoolingOfAxes`."""
    given = (param.nd_kernel_size, param.nd_stride, param.nd_pad)
    return any(map(len, given)) or any(gap != 1 for gap in param.dilation)


class SavedBottom(NamedTuple):
    padded: str
    """The bottom with its padding, as windows without padding see it."""
    bottom: Dims


@dataclass(frozen=True)
class PoolingOfAxes(Layer[SavedBottom]):
    """Bottom (N, C, sizes...), top (N, C, windows...): the maximum of each window. Stands in for Pooling.

    Each of ``kernel``, ``stride``, ``pad`` and ``dilation`` has one value, or one for each axis. Windows are
    counted by rounding up, unless ``round_up`` is False, and one that begins behind a padded axis is left
    out. The first of equal maxima gets the gradient.
    """

    type = "Pooling of axes"
    origin = "naibaf7"

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    pad: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)
    round_up: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PoolingOfAxes:
        p = param.pooling_param
        method = p.PoolMethod.Name(p.pool)
        if method != "MAX" or p.global_pooling or len(param.top) > 1:
            raise UnsupportedError(
                f"pooling_param: {method} with dilation or a value for each axis: only MAX is implemented,"
                " with one top and not global"
            )
        kernel = tuple(p.nd_kernel_size) or _values(p, "kernel", "kernel_size")
        stride = tuple(p.nd_stride) or _values(p, "stride", "stride") or (1,)
        if not kernel or 0 in kernel + stride + tuple(p.dilation):
            raise NetError("Filter dimensions cannot be zero, nor stride and dilation.")
        padding = tuple(p.nd_pad) or _values(p, "pad", "pad") or (0,)
        return cls(kernel, stride, padding, tuple(p.dilation) or (1,))

    def _windows(self, rank: int) -> Windows:
        """Of a bottom with its padding. Raises ShapeError."""
        fields = {"kernel_size": self.kernel, "stride": self.stride, "dilation": self.dilation}
        for name, values in (*fields.items(), ("pad", self.pad)):
            if len(values) not in (1, rank - 2):
                raise ShapeError(f"pooling_param: {len(values)} values of {name} for {rank - 2} axes")
        kernel, stride, gaps = (v if len(v) > 1 else v * (rank - 2) for v in fields.values())
        return Windows(kernel, stride, (0,) * (rank - 2), gaps)

    def _pads(self, rank: int) -> tuple[int, ...]:
        return self.pad if len(self.pad) > 1 else self.pad * (rank - 2)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        windows = self._windows(len(shape))
        axes = zip(shape[2:], windows.extents, windows.stride, self._pads(len(shape)), strict=True)
        counts = [pool_size(size, k, s, p, round_up=self.round_up, clip=p > 0) for size, k, s, p in axes]
        if not counts or min(counts) < 1:
            raise ShapeError(f"no window of {windows.extents} fits in {shape}: the top would be {counts}")
        return ((*shape[:2], *counts),)

    def _ends(self, dims: Dims) -> list[int]:
        """The padding behind the end of each axis with which rounding down finds all windows."""
        windows = self._windows(len(dims))
        axes = zip(dims[2:], windows.extents, windows.stride, self._pads(len(dims)), strict=True)
        return [pool_end_pad(size, k, s, p, round_up=self.round_up, clip=p > 0) for size, k, s, p in axes]

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[SavedBottom]:
        (x,) = bottoms
        windows, padded = self._windows(x.rank), x.name
        for axis, before, behind in zip(count(2), self._pads(x.rank), self._ends(x.dims), strict=False):
            padded = pad(g, padded, axis, before, behind, LOWEST)
        kernel, stride, gaps = windows.kernel, windows.stride, windows.dilation
        top = g.op("MaxPool", padded, kernel_shape=kernel, strides=stride, dilations=gaps)
        return Emitted((top,), SavedBottom(padded, x.dims))

    def grad(
        self, g: GraphBuilder, saved: SavedBottom, d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        shape = Value("", saved.bottom).shape
        (top,) = self.out_shapes([shape])
        windows, before = self._windows(len(shape)), self._pads(len(shape))
        sizes = map(sum, zip(shape[2:], before, self._ends(shape), strict=True))
        whole = (*shape[:2], *sizes)
        seen = unfold(g, saved.padded, whole, windows)  # (N, C, K, windows...)
        numbers = np.arange(prod(windows.kernel)).reshape(1, 1, -1, *[1] * len(windows.kernel))
        first = g.op("Equal", g.op("ArgMax", seen, axis=2), g.const(numbers, np.int64))
        shares = g.op("Where", first, g.op("Unsqueeze", dy, g.ints([2])), g.const(0))
        columns = g.op("Reshape", shares, g.ints([shape[0], -1, *top[2:]]))
        d_padded = emit_folded(g, columns, whole, top, windows)
        ends = [p + size for p, size in zip(before, shape[2:], strict=True)]
        axes = g.ints(range(2, len(shape)))
        return Gradients((g.op("Slice", d_padded, g.ints(before), g.ints(ends), axes),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        (shape,) = self.out_shapes([x.shape])
        windows = self._windows(x.ndim)
        edges = [(0, 0), (0, 0), *zip(self._pads(x.ndim), self._ends(x.shape), strict=True)]
        padded = np.pad(x, edges, constant_values=LOWEST)
        seen = [padded[offset_slices(at, shape[2:], windows)] for at in np.ndindex(*windows.kernel)]
        return Referenced((np.max(seen, axis=0),))


def _values(param: Any, name: str, both: str) -> tuple[int, ...]:
    """Of a field that is given once, or for height and width; () where it is not given."""
    if param.HasField(both):
        return (getattr(param, both),)
    pair = [f"{name}_{axis}" for axis in "hw"]
    given = [getattr(param, field) for field in pair if param.HasField(field)]
    if len(given) == 1:
        raise NetError(f"pooling_param: {pair[0]} and {pair[1]} come together")
    return tuple(given)

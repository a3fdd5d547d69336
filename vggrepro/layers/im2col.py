"""Im2col: the input of every window of a convolution, as channels (Caffe's Im2col layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.channel_layout import ChannelLayout
from vggrepro.layers.rules.folded import emit_folded
from vggrepro.layers.rules.unfold import offset_slices, pad_widths, unfold
from vggrepro.layers.rules.window import WindowParam, Windows, edge_pads


class _Saved(NamedTuple):
    """The dims of the bottom as the net has it, of the bottom as (N, C, sizes...), and of the columns."""

    bottom: Dims
    x: Dims
    y: Dims


@register
@dataclass(frozen=True)
class Im2col(Layer[_Saved]):
    """Bottom (..., C, sizes...), top (..., C * K, windows...), K the number of elements in the kernel.

    ``force_nd_im2col`` chooses among Caffe's implementations of the same copy, and is ignored.
    """

    type = "Im2col"

    window: WindowParam
    axis: int = 1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Im2col:
        p = param.convolution_param
        if 0 in p.dilation:
            raise UnsupportedError("dilation 0 is not supported")
        edges = edge_pads(p)
        if edges is not None and edges[0] != edges[1]:
            raise UnsupportedError("convolution_param: pad_l, pad_r, pad_t, pad_b that differ by side")
        return cls(WindowParam.from_param(p), p.axis)

    def _windows(self, rank: int) -> tuple[ChannelLayout, Windows]:
        layout = ChannelLayout.of(self.axis, rank, self.type)
        if not layout.spatial:
            raise ShapeError(f"axis {self.axis} of a blob with {rank} axes leaves no spatial axis")
        return layout, self.window.resolve(layout.spatial)

    def _top(self, dims: Dims) -> Dims:
        layout, windows = self._windows(len(dims))
        channels = dims[layout.axis]
        columns = None if channels is None else channels * prod(windows.kernel)
        return (*dims[: layout.axis], columns, *windows.conv_sizes(layout.sizes(dims)))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        top = Value("top", self._top(bottoms[0])).shape
        layout, windows = self._windows(len(top))
        if min(top[layout.axis + 1 :]) < 1:
            raise ShapeError(
                f"{windows} over a bottom of shape {tuple(bottoms[0])} leave a top of shape {top}"
            )
        return (top,)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """As Convolution's."""
        layout, windows = self._windows(len(bottoms[0]))
        return windows.short_axes(layout.sizes(bottoms[0]), layout.axis + 1)

    def reach(self, bottom: Shape) -> Reach | None:
        layout, windows = self._windows(len(bottom))
        if layout.spatial != 2:
            return None
        (height, width), (down, right) = windows.extents, windows.stride
        return Reach((height, width), (down, right))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        layout, windows = self._windows(bottoms[0].rank)
        x = layout.to_standard(g, bottoms[0])
        columns = unfold(g, x.name, x.dims, windows)  # (N, C, K, windows...)
        dims = (x.dims[0], *self._top(bottoms[0].dims)[layout.axis :])
        y = Value(_join_elements(g, columns, dims), dims)
        return Emitted((layout.from_standard(g, y, bottoms[0]),), _Saved(bottoms[0].dims, x.dims, dims))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Every element of the bottom gets the sum over the windows that saw it."""
        (d_top,) = d_tops
        if d_top is None:
            return Gradients((None,))
        bottom, x, y = (Value("", dims).shape for dims in saved)
        layout, windows = self._windows(len(bottom))
        dx = emit_folded(g, layout.to_standard_fixed(g, d_top, y), x, y, windows)
        return Gradients((layout.from_standard_fixed(g, dx, bottom),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (bottom,) = bottoms
        layout, windows = self._windows(bottom.ndim)
        top = Value("top", self._top(bottom.shape)).shape
        leading = prod(top[: layout.axis])
        x = bottom.reshape(leading, *bottom.shape[layout.axis :])
        x = np.pad(x, pad_widths(x.shape, windows))
        y = np.zeros((leading, x.shape[1], prod(windows.kernel), *top[layout.axis + 1 :]))
        for index, offset in enumerate(product(*map(range, windows.kernel))):
            y[:, :, index] = x[offset_slices(offset, top[layout.axis + 1 :], windows)]
        return Referenced((y.reshape(top),))


def _join_elements(g: GraphBuilder, columns: str, dims: Dims) -> str:
    """(N, C, K, windows...) as (N, C * K, windows...)."""
    if dims.count(None) < 2:
        return g.op("Reshape", columns, g.ints([-1 if d is None else d for d in dims]))
    windows = g.op("Shape", columns, start=3)
    return g.op("Reshape", columns, g.op("Concat", g.ints([0, dims[1] or -1]), windows, axis=0))

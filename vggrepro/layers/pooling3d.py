"""Pooling3D over time, height and width (a layer of C3D; not from BVLC Caffe).

Source: facebookarchive/C3D, ``pooling_param`` with ``kernel_depth`` and ``temporal_stride`` in 1.0,
``pooling3d_param`` in 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Referenced, Shapes, register
from vggrepro.layers.rules.pooling_nodes import LOWEST, pad
from vggrepro.layers.rules.temporal import Triple, check_axes, temporal_param, triple
from vggrepro.layers.rules.window import Span, pool_end_pad, pool_size, pool_spans
from vggrepro.layers.rules.window_positions import WindowPositions

AXES = (2, 3, 4)


@register
@dataclass(frozen=True)
class Pooling3D(Layer[Value]):
    """Bottom (N, C, L, H, W), top (N, C, L', H', W'): the maximum or the average of each window.

    Windows are counted by rounding up along all three axes and may hang over the end. Averages count the
    padding of height and width, but not what hangs over it. Every element that equals the maximum of its
    window gets all of the gradient.
    """

    type = "Pooling3D"
    origin = "C3D"

    average: bool
    kernel: Triple
    stride: Triple = (1, 1, 1)
    pad: Triple = (0, 0, 0)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Pooling3D:
        p = temporal_param(param, "pooling3d_param", "pooling_param")
        method = p.PoolMethod.Name(p.pool)
        if method == "STOCHASTIC":
            raise UnsupportedError("pooling_param: pool STOCHASTIC is not implemented")
        stride = triple(p, "temporal_stride", "stride", 1)
        if 0 in stride:
            raise NetError(f"Pooling3D: stride and temporal_stride must be positive, got {stride}")
        if p.pad and method == "MAX":
            raise NetError("Padding implemented only for average pooling.")
        if p.pad >= p.kernel_size:
            raise NetError(f"Pooling3D: pad must be less than kernel_size, got {p.pad} and {p.kernel_size}")
        kernel = triple(p, "kernel_depth", "kernel_size", 0)
        return cls(method == "AVE", kernel, stride, (0, p.pad, p.pad))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        check_axes(self.type, shape)
        sizes = [self._count(shape, axis) for axis in AXES]
        if min(sizes) < 1:
            raise ShapeError(f"no window of {self.kernel} fits in {shape[2:]}: the top would be {sizes}")
        if self.average and any(span.padded < 1 for axis in AXES for span in self._spans(shape, axis)):
            raise ShapeError(f"a window of {self.kernel} lies behind the end of {shape[2:]}")
        return ((*shape[:2], *sizes),)

    def _count(self, shape: Shape, axis: int) -> int:
        k, s, p = self._along(axis)
        return pool_size(shape[axis], k, s, p, round_up=True, clip=False)

    def _along(self, axis: int) -> Triple:
        """Kernel, stride and padding."""
        return self.kernel[axis - 2], self.stride[axis - 2], self.pad[axis - 2]

    def _spans(self, shape: Shape, axis: int) -> list[Span]:
        k, s, p = self._along(axis)
        return pool_spans(shape[axis], k, s, p, self._count(shape, axis))

    def _ends(self, dims: Dims) -> list[int]:
        """The padding behind the end of each axis with which rounding down finds all windows."""
        rule = {"round_up": True, "clip": False}
        return [pool_end_pad(dims[axis], *self._along(axis), **rule) for axis in AXES]

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Value]:
        (x,) = bottoms
        ends = self._ends(x.dims)
        attributes: dict[str, Any] = {"kernel_shape": self.kernel, "strides": self.stride}
        padded = x.name
        for axis, before, behind in zip(AXES, self.pad, ends, strict=True):
            padded = pad(g, padded, axis, before, behind, 0 if self.average else LOWEST)
        if not self.average:
            return Emitted((g.op("MaxPool", padded, **attributes),), saved=x)
        y = g.op("AveragePool", padded, **attributes)
        if any(end > p for end, p in zip(ends, self.pad, strict=True)):
            y = g.op("Div", y, g.op("AveragePool", self._counting(g, x.name, ends), **attributes))
        return Emitted((y,), saved=x)

    def _counting(self, g: GraphBuilder, x: str, ends: Sequence[int]) -> str:
        """1 for each element that averages count and 0 behind them, (1, 1, L, H, W) with padding."""
        sizes = g.op("Concat", g.ints([1, 1]), g.op("Shape", x, start=2), axis=0)
        ones = g.op("Expand", g.const(1), sizes)
        for axis, p, end in zip(AXES, self.pad, ends, strict=True):
            ones = pad(g, ones, axis, p, min(p, end), 1)
        for axis, p, end in zip(AXES, self.pad, ends, strict=True):
            ones = pad(g, ones, axis, 0, max(end - p, 0))
        return ones

    def grad(self, g: GraphBuilder, saved: Value, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """Axis by axis: a maximum is the maximum over time of those over height of those over width."""
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        shape = (-1, *saved.shape[1:])
        steps = []
        best = saved.name
        for axis in reversed(AXES):
            windows = WindowPositions(shape, axis, *self._along(axis), self._count(shape, axis))
            elements: tuple[str, ...] = ()
            if not self.average:
                elements = windows.elements(g, best, windows.kernel)
                best = windows.from_windows(g, g.op("Max", *elements))
            steps.append((windows, elements, best))
            shape = windows.pooled
        for windows, elements, best in reversed(steps):
            d = windows.by_window(g, dy)
            if self.average:
                counted = [span.padded for span in self._spans(windows.shape, windows.axis)]
                d = g.op("Div", d, g.const(np.reshape(counted, (1, -1, 1, 1))))
                shares = [d] * windows.kernel
            else:
                top = windows.by_window(g, best)
                shares = [g.op("Where", g.op("Equal", e, top), d, g.const(0)) for e in elements]
            dy = windows.put_back(g, shares)
        return Gradients((dy,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        (shape,) = self.out_shapes([x.shape])
        y = np.empty(shape)
        frames, rows, columns = (list(enumerate(self._spans(x.shape, axis))) for axis in AXES)
        for (i, frame), (j, row), (k, column) in product(frames, rows, columns):
            window = x[:, :, frame.begin : frame.end, row.begin : row.end, column.begin : column.end]
            if self.average:
                y[:, :, i, j, k] = window.sum(AXES) / (frame.padded * row.padded * column.padded)
            else:
                y[:, :, i, j, k] = window.max(AXES, initial=LOWEST)
        return Referenced((y,))

"""MaxPool and AveragePool nodes over exactly the windows of Caffe.

Caffe counts windows by rounding up, and a window may hang over the end. Here every rule is brought to
plain rounding down with some padding behind the end, exact for any height and width (the arithmetic is
in :func:`~vggrepro.layers.rules.window.pool_end_pad`), so one node does in all but rare cases, and the
runtime's own rounding up, wrong in some releases, is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value

SPATIAL = (2, 3)

LOWEST = -3.4028234663852886e38
"""-FLT_MAX: where Caffe's maximum starts, and what it leaves in a window without elements."""


class AxisWindows(NamedTuple):
    """The windows along one axis: they begin at -pad, and ``end`` is the padding behind the end that they
    reach. Of that an average counts ``behind``, or ``pad`` where that is None; with ``image_only`` it counts
    no padding."""

    kernel: int
    stride: int
    pad: int
    end: int
    behind: int | None = None
    image_only: bool = False

    @property
    def counted(self) -> int:
        """The padding behind the end that an average counts."""
        return self.pad if self.behind is None else self.behind


def max_pool(g: GraphBuilder, x: str, windows: Sequence[AxisWindows]) -> str:
    """The maxima of windows over the last two axes of a four-dimensional tensor.

    A MaxPool node takes no padding of a whole kernel, so windows behind the end get theirs before it.
    """
    ends = [w.end for w in windows]
    for i, w in enumerate(windows):
        if w.end >= w.kernel:
            x, ends[i] = pad(g, x, SPATIAL[i], 0, w.end, LOWEST), 0
    return g.op("MaxPool", x, **_attributes(windows, [w.pad for w in windows], ends))


def max_pool_by_planes(g: GraphBuilder, x: Value, windows: Sequence[AxisWindows], shape: Shape) -> str:
    """The same as a tensor of ``shape``, with each channel as a picture of its own. That keeps ONNX Runtime's
    CPU from copying x to a layout in blocks of channels, and the maxima back."""
    planes = g.op("Reshape", x.name, g.ints([-1, 1, *Value(x.name, x.dims[2:]).shape]))
    return g.op("Reshape", max_pool(g, planes, windows), g.ints(shape))


def average_pool(g: GraphBuilder, x: str, windows: Sequence[AxisWindows]) -> str:
    """The averages of windows over the last two axes, divided as Caffe does: padding counts (unless
    ``image_only``), what hangs over its end does not."""
    pads, ends = [w.pad for w in windows], [w.end for w in windows]
    if any(w.end >= w.kernel for w in windows):
        return _average_beyond(g, x, windows)
    if any(w.image_only for w in windows):
        if g.on_cuda and pads != ends:
            return _average_of_counted(g, x, windows)
        return g.op("AveragePool", x, count_include_pad=0, **_attributes(windows, pads, ends))
    if all(w.end <= w.counted for w in windows):
        if g.on_cuda and pads != ends:
            return _unpadded_average(g, _padded(g, x, windows), windows)
        return g.op("AveragePool", x, count_include_pad=1, **_attributes(windows, pads, ends))
    if g.on_cuda:
        return _average_of_counted(g, x, windows)
    for i, w in enumerate(windows):  # padding becomes image, so that what counts is what is inside
        x = pad(g, x, SPATIAL[i], w.pad, w.counted)
    over = [max(w.end - w.counted, 0) for w in windows]
    return g.op("AveragePool", x, count_include_pad=0, **_attributes(windows, [0, 0], over))


def weighted_average(g: GraphBuilder, averages: str, averaged_squares: str) -> str:
    """The averages of windows whose elements are their own weights: the sum of the squares over the sum, 0
    where that is not positive."""
    weighted = g.op("Div", averaged_squares, averages)
    return g.op("Where", g.op("Greater", averages, g.const(0)), weighted, g.const(0))


def _average_of_counted(g: GraphBuilder, x: str, windows: Sequence[AxisWindows]) -> str:
    """The average of all elements of each window, divided by the share of those that count. Some releases of
    ONNX Runtime are wrong on CUDA where the two ends of an axis have different padding: here none has."""
    sizes = g.op("Concat", g.ints([1, 1]), g.op("Shape", x, start=2), axis=0)
    counting = g.op("Expand", g.const(1), sizes)  # (1, 1, H, W)
    for i, w in enumerate(windows):
        if not w.image_only:
            counting = pad(g, counting, SPATIAL[i], w.pad, min(w.counted, w.end), 1)
    for i, w in enumerate(windows):
        before, behind = (w.pad, w.end) if w.image_only else (0, max(w.end - w.counted, 0))
        counting = pad(g, counting, SPATIAL[i], before, behind)
    averages, shares = (_unpadded_average(g, t, windows) for t in (_padded(g, x, windows), counting))
    return g.op("Div", averages, shares)


def _unpadded_average(g: GraphBuilder, x: str, windows: Sequence[AxisWindows]) -> str:
    return g.op("AveragePool", x, count_include_pad=1, **_attributes(windows, [0, 0], [0, 0]))


def _padded(g: GraphBuilder, x: str, windows: Sequence[AxisWindows]) -> str:
    for i, w in enumerate(windows):
        x = pad(g, x, SPATIAL[i], w.pad, w.end)
    return x


def _average_beyond(g: GraphBuilder, x: str, windows: Sequence[AxisWindows]) -> str:
    """Without padding, strides over the kernel can put windows wholly behind the end. Caffe divides
    their sum, 0, by what is 0 or negative elements there."""
    averages = _unpadded_average(g, _padded(g, x, windows), windows)
    sums = g.op("Mul", averages, g.const(windows[0].kernel * windows[1].kernel))
    rows, columns = (_lengths(g, x, averages, SPATIAL[i], w) for i, w in enumerate(windows))
    return g.op("Div", sums, g.op("Mul", g.op("Unsqueeze", rows, g.ints([1])), columns))


def _lengths(g: GraphBuilder, x: str, y: str, axis: int, windows: AxisWindows) -> str:
    """Elements from the begin of each unpadded window to its end or the image's, whichever is first."""
    size, count = (g.op("Shape", t, start=axis, end=axis + 1) for t in (x, y))
    stop = g.op("Squeeze", g.op("Mul", count, g.ints([windows.stride])))
    starts = g.op("Range", g.ints(0), stop, g.ints(windows.stride))
    lengths = g.op("Min", g.op("Sub", size, starts), g.ints([windows.kernel]))
    return g.op("Cast", lengths, to=FLOAT)


def _attributes(windows: Sequence[AxisWindows], begins: Sequence[int], ends: Sequence[int]) -> dict[str, Any]:
    return {
        "kernel_shape": [w.kernel for w in windows],
        "strides": [w.stride for w in windows],
        "pads": [*begins, *ends],
    }


def pad(g: GraphBuilder, x: str, axis: int, before: int, behind: int, value: float = 0) -> str:
    """``x`` with elements of ``value`` before and behind along one axis; none cost nothing."""
    if before == behind == 0:
        return x
    return g.op("Pad", x, g.ints([before, behind]), g.const(value), g.ints([axis]))

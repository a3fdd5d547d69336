"""What every window of a convolution sees, one offset in the kernel after another, in graphs and in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Dims, GraphBuilder, Shape
from vggrepro.layers.rules.window import Windows

TO_THE_END = np.iinfo(np.int64).max


def unfold(g: GraphBuilder, x: str, dims: Dims, windows: Windows) -> str:
    """(N, C, sizes...) to (N, C, kernel elements, windows...): a strided slice for each offset in the kernel.

    Offset t of the windows that fit into L elements begins at t * dilation and ends extent - 1 elements
    before it would leave the last window, so no size needs to be known.
    """
    axes = list(range(2, len(dims)))
    padded = _padded(g, x, dims, windows)
    if prod(windows.kernel) == 1 and prod(windows.stride) == 1:
        return g.op("Unsqueeze", padded, g.ints([2]))
    offsets = []
    for offset in product(*map(range, windows.kernel)):
        starts = [t * d for t, d in zip(offset, windows.dilation, strict=True)]
        behind = [s - e + 1 for s, e in zip(starts, windows.extents, strict=True)]
        ends = [b or TO_THE_END for b in behind]
        cut = g.op("Slice", padded, g.ints(starts), g.ints(ends), g.ints(axes), g.ints(windows.stride))
        offsets.append(g.op("Unsqueeze", cut, g.ints([2])))
    return g.op("Concat", *offsets, axis=2) if len(offsets) > 1 else offsets[0]


def gather_unfolded(g: GraphBuilder, x: str, shape: Shape, windows: Windows) -> str:
    """(N, C, sizes...) to (C, kernel elements, N * windows) by one Gather. Its indices, where each offset of
    each window lies, are a constant as large as one channel of the result."""
    images, channels, *sizes = shape
    padded = _padded(g, x, shape, windows)
    whole = [size + sum(widths) for size, widths in zip(sizes, pad_widths(shape, windows)[2:], strict=True)]
    turned = g.op("Transpose", padded, perm=[1, 0, *range(2, len(shape))]) if images > 1 else padded
    if windows.pointwise:
        return g.op("Reshape", turned, g.ints([channels, 1, -1]))
    flat = g.op("Reshape", turned, g.ints([channels, images * prod(whole)]))
    return g.op("Gather", flat, g.const(_places(images, whole, windows), np.int32), axis=1)


def _places(images: int, whole: Sequence[int], windows: Windows) -> npt.NDArray[np.int64]:
    """(kernel elements, images * windows): places in the flat padded images, each of ``whole`` sizes."""
    pitches = [prod(whole[axis + 1 :]) for axis in range(len(whole))]
    offsets, starts = np.zeros((1, 1), np.int64), np.arange(images)[None] * prod(whole)
    for axis, size in enumerate(whole):
        count = (size - windows.extents[axis]) // windows.stride[axis] + 1
        taps = np.arange(windows.kernel[axis]) * windows.dilation[axis] * pitches[axis]
        firsts = np.arange(count) * windows.stride[axis] * pitches[axis]
        offsets = (offsets.reshape(-1, 1) + taps).reshape(-1, 1)
        starts = (starts.reshape(-1, 1) + firsts).reshape(1, -1)
    return offsets + starts


def _padded(g: GraphBuilder, x: str, dims: Dims, windows: Windows) -> str:
    """Zeros before and behind, also those that Caffe reads beyond the end of a short input."""
    widths = pad_widths(dims, windows)
    if not any(map(any, widths)):
        return x
    before, behind = zip(*widths, strict=True)
    return g.op("Pad", x, g.ints([*before, *behind]))


def pad_widths(dims: Dims, windows: Windows) -> list[tuple[int, int]]:
    """Zeros before and behind each axis of a blob (N, C, sizes...), as ``numpy.pad`` takes them."""
    beyond = windows.shortfall(dims[2:])
    return [(0, 0), (0, 0), *((p, p + b) for p, b in zip(windows.pad, beyond, strict=True))]


def offset_slices(offset: Sequence[int], out: Sequence[int], windows: Windows) -> tuple[int | slice, ...]:
    """Where the element at one offset of every window lies in the padded blob (N, C, sizes...)."""
    return at(
        slice(t * d, t * d + (count - 1) * s + 1, s)
        for t, count, s, d in zip(offset, out, windows.stride, windows.dilation, strict=True)
    )


def at(behind: Iterable[int | slice]) -> tuple[int | slice, ...]:
    """An index into the axes behind the first two."""
    return (slice(None), slice(None), *behind)

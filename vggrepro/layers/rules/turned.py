"""Convolutions with filters turned by 180 degrees: one of stride 1 is the gradient of another's input.

So what a Conv computes a ConvTranspose can compute too, and the other way round. On a GPU the two run by
different algorithms of cuDNN. In float32 it takes Fourier transforms of tiles for most ConvTransposes with
3x3 filters, but direct sums for most Convs: conv3_2 of VGG-D with 64 images takes an H200 1.9 ms by
ConvTranspose and 8.7 ms by Conv, with four times the error (docs/performance-findings.md). Where tensor
cores multiply the two are equally fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.layers.rules.window import Windows
from vggrepro.layers.rules.winograd import holds

LEAST_PLACES = 400
"""Outputs of a channel from which on ConvTranspose is faster: 14 x 14 are too few, 28 x 28 enough."""

LEAST_CHANNELS = 16
"""On either side; the first layer of a net has 3."""


def turned_filters(
    g: GraphBuilder, weight: str, outputs: int, inputs: int, groups: int, kernel: Shape
) -> str:
    """(outputs, inputs / groups, kernel...) as (inputs, outputs / groups, kernel...), reversed along each
    axis of the kernel."""
    axes = range(2, 2 + len(kernel))
    split = g.op("Reshape", weight, g.ints([groups, outputs // groups, inputs // groups, *kernel]))
    moved = g.op("Transpose", split, perm=[0, 2, 1, *(axis + 1 for axis in axes)])
    swapped = g.op("Reshape", moved, g.ints([inputs, outputs // groups, *kernel]))
    if prod(kernel) == 1:
        return swapped
    first, beyond = [-1] * len(axes), [-size - 1 for size in kernel]
    return g.op("Slice", swapped, g.ints(first), g.ints(beyond), g.ints(axes), g.ints(first))


def turned_by_product(g: GraphBuilder, weight: str, outputs: int, inputs: int, kernel: Shape) -> str:
    """The same for one group, by a product with a permutation: ONNX Runtime makes one operator of it and the
    Transpose, which all threads share on a CPU (3.1 ms of processor time for 8.4 with 512 x 512 filters of
    3 x 3). The bits are the same, but an infinite element makes all of its filter NaN."""
    taps = prod(kernel)
    moved = g.op("Transpose", g.op("Reshape", weight, g.ints([outputs, inputs, taps])), perm=[1, 0, 2])
    turned = g.op("MatMul", moved, g.const(np.eye(taps)[None, ::-1]))  # (inputs, outputs, taps)
    return g.op("Reshape", turned, g.ints([inputs, outputs, *kernel]))


def pays(windows: Windows, group: int, channels: Sequence[int | None], places: Dims) -> bool:
    """Whether ConvTranspose is faster than Conv on a GPU in float32 for a sum between these numbers of
    channels, with ``places`` in the result (None: not known, and taken for many)."""
    if not holds(windows, group) or None in channels:
        return False
    known = [size for size in places if size is not None]
    many = len(known) < len(places) or prod(known) >= LEAST_PLACES
    return many and min(c for c in channels if c is not None) >= LEAST_CHANNELS


def transposed_forward(
    g: GraphBuilder, x: Value, params: Sequence[str], outputs: int, windows: Windows
) -> str:
    """What a Conv of stride 1 and one group computes of x (N, C, sizes...) with params, a weight (outputs, C,
    kernel...) and perhaps a bias, by a ConvTranspose."""
    weight, *bias = params
    (channels,) = Value(x.name, x.dims[1:2]).shape
    filters = turned_filters(g, weight, outputs, channels, 1, windows.kernel)
    pads = [e - 1 - p for p, e in zip(windows.pad, windows.extents, strict=True)]
    return g.op("ConvTranspose", x.name, filters, *bias, kernel_shape=windows.kernel, pads=[*pads, *pads])

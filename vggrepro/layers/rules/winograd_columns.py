"""Convolutions whose filters are 5 or 7 columns wide, with stride 1, by minimal filtering, forward.

Two outputs side by side of filters that are k wide take k + 1 products in place of 2 k (the polynomials are
those of :mod:`vggrepro.layers.rules.winograd`, along one axis). The products at one point are a convolution
with filters of one column. fc6 of VGG as a convolution (section 3.2 of the paper) is the largest of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.errors import FixedShapeError
from vggrepro.layers.rules.window import Windows
from vggrepro.layers.rules.winograd import toom_cook
from vggrepro.layers.rules.winograd_forward import Matrix, blocks_pay

LEAST = 32
"""C * K / (C + K) from which on this is faster than direct summation."""

POSITIONS = 512
"""Outputs of a channel from which on this is faster even where a training step changes the filters, so that
they are transformed in each run."""

TILE = 2
"""Outputs that are computed together."""

POINTS = {
    5: (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2)),
    7: (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-1, 2), Fraction(2), Fraction(-2)),
}
"""By width, the points at which the polynomials are evaluated, besides infinity. The errors are at most 1.7
and 2.5 times those of direct summation."""


@cache
def _transforms(width: int) -> tuple[Matrix, Matrix, Matrix]:
    """A (2, k + 1), G (k + 1, k) and B (k + 1, k + 1) for filters of k columns."""
    return toom_cook(POINTS[width], TILE, width)


def holds(windows: Windows, group: int) -> bool:
    """Whether the rule here is that of a convolution."""
    return (
        len(windows.kernel) == 2
        and windows.kernel[1] in POINTS
        and set(windows.stride) == set(windows.dilation) == {1}
        and group == 1
    )


def saves_time(channels: int, outputs: int, images: int | None, sizes: Dims) -> bool:
    """Whether it is faster than direct summation from ``channels`` to ``outputs`` channels and to tops of
    ``sizes`` (None: free, and taken to be large)."""
    if not blocks_pay(channels, outputs, LEAST):
        return False
    fixed = [size for size in sizes if size is not None]
    return len(fixed) < len(sizes) or (images or 1) * prod(fixed) >= POSITIONS


def forward(g: GraphBuilder, x: Value, params: Sequence[str], windows: Windows) -> str:
    """The convolution of x (N, C, H, W) with params: a weight (K, C, height, 5 or 7) and perhaps a bias.
    All sizes of x but C may be free."""
    weight, *bias = params
    height, width = windows.kernel
    to_outputs, to_filters, to_points = _transforms(width)
    products = [
        g.op(
            "Conv",
            _at_point(g, x, point, windows.pad[1]),
            g.op("MatMul", weight, g.const(taps[:, np.newaxis])),  # (K, C, height, 1)
            kernel_shape=[height, 1],
            pads=[windows.pad[0], 0, windows.pad[0], 0],
        )
        for point, taps in zip(to_points, to_filters, strict=True)
    ]  # each (N, K, H', tiles)
    flat = [g.op("Reshape", at_point, g.ints([0, 1, -1])) for at_point in products]
    joined = g.op("Transpose", g.op("Concat", *flat, axis=1), perm=[0, 2, 1])  # (N, K H' tiles, width + 1)
    y = g.op("MatMul", joined, g.const(to_outputs.T))
    head, tiles = g.op("Shape", products[0], end=3), g.op("Shape", products[0], start=3)
    y = g.op("Reshape", y, g.op("Concat", head, g.op("Mul", tiles, g.ints([TILE])), axis=0))
    end = g.op("Add", g.op("Shape", x.name, start=3), g.ints([2 * windows.pad[1] - width + 1]))
    y = g.op("Slice", y, g.ints([0]), end, g.ints([3]))
    return g.op("Add", y, g.op("Unsqueeze", *bias, g.ints([1, 2]))) if bias else y


def _at_point(g: GraphBuilder, x: Value, point: Matrix, pad: int) -> str:
    """The value at one point of every window of k + 1 columns; a window begins every two."""
    channels = x.dims[1]
    if channels is None:
        raise FixedShapeError(f"blob {x.name!r}: the number of channels must be fixed")
    taps = np.tile(point, (channels, 1, 1, 1))
    return g.op(
        "Conv",
        x.name,
        g.const(taps),
        group=channels,
        kernel_shape=[1, len(point)],
        strides=[1, TILE],
        pads=[0, pad, 0, pad + TILE - 1],
    )

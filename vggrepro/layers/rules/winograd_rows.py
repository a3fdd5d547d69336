"""3x3 convolutions with stride 1 by minimal filtering along the rows alone, forward.

Four outputs, one below the other, take 6 products with filters of one row in place of 12 (the points are
those of :mod:`vggrepro.layers.rules.winograd_forward`). This spares half of the products where there are too
few channels for tiles, whose transforms cost more. conv1_2 of VGG is the case that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.layers.rules.window import Windows
from vggrepro.layers.rules.winograd_forward import COUNT, TILE, at_point, blocks_pay, transforms

LEAST = 32
"""C * K / (C + K) from which on this is faster than direct summation."""

POSITIONS = 2048
"""Outputs of a channel from which on this is faster."""


def saves_time(channels: int, outputs: int, images: int | None, sizes: Dims) -> bool:
    """Whether it is faster than direct summation from ``channels`` to ``outputs`` channels and to tops of
    ``sizes``: for one image of a fixed size, which a processor's cache still holds."""
    if images != 1 or not blocks_pay(channels, outputs, LEAST):
        return False
    fixed = [size for size in sizes if size is not None]
    return len(fixed) == len(sizes) and prod(fixed) >= POSITIONS


def forward(g: GraphBuilder, x: Value, params: Sequence[str], outputs: int, windows: Windows) -> str:
    """The convolution of one image x (1, C, H, W), sizes fixed, with params: a weight (outputs, C, 3, 3) and
    perhaps a bias."""
    _, channels, *area = x.shape
    height, width = Value("top", windows.conv_sizes(tuple(area))).shape
    to_outputs, to_filters, to_points = transforms()
    weight, *bias = params
    rows = g.op("Reshape", g.op("Transpose", weight, perm=[2, 0, 1, 3]), g.ints([len(to_filters[0]), -1]))
    filters = g.op("Reshape", g.op("MatMul", g.const(to_filters), rows), g.ints([-1, channels, 1, 3]))
    seen = (at_point(g, x.name, channels, point, 0, windows.pad[0]) for point in to_points)
    across = windows.pad[1]
    products = g.op(
        "Conv",
        g.op("Concat", *seen, axis=1),  # (1, 6 C, tiles, W)
        filters,
        *(_at_points(g, b) for b in bias),
        group=COUNT,
        kernel_shape=[1, 3],
        pads=[0, across, 0, across],
    )  # (1, 6 K, tiles, W')
    y = g.op("MatMul", g.const(to_outputs), g.op("Reshape", products, g.ints([COUNT, -1])))
    y = g.op("Transpose", g.op("Reshape", y, g.ints([TILE, -1, width])), perm=[1, 0, 2])
    y = g.op("Reshape", y, g.ints([1, outputs, -1, width]))  # the rows of a tile one below the other
    return y if height % TILE == 0 else g.op("Slice", y, g.ints([0]), g.ints([height]), g.ints([2]))


def _at_points(g: GraphBuilder, bias: str) -> str:
    """The bias (K,) at the points (6 K,): what gives the bias itself in each of the four outputs."""
    to_outputs, _, _ = transforms()
    shares, *_ = np.linalg.lstsq(to_outputs, np.ones(TILE), rcond=None)
    return g.op(
        "Reshape",
        g.op("MatMul", g.const(shares[:, np.newaxis]), g.op("Unsqueeze", bias, g.ints([0]))),
        g.ints([-1]),
    )

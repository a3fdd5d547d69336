"""Winograd's minimal filtering, for 3x3 convolutions with stride 1 and their gradients.

m outputs of a filter of r elements along one axis come from a product of two polynomials, and that is
known from its values at n = m + r - 1 points (Toom and Cook; Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", 2015):

    y = A [(G w) * (B x)],   A (m, n), G (n, r), B (n, n),

so n multiplications do the work of m * r. This module has the matrices, and the gradient of the weight on a
GPU: with tiles of 4 rows and 2 columns 6 * 4 = 24 products stand for 72. A tile of the top's gradient is the
filter there, and the 3x3 gradient holds the outputs. The products are matrix products over the channels,
one for each of the 24 points; B and G are applied by strided convolutions within each channel. On a CPU
:mod:`vggrepro.layers.rules.winograd_forward` and :mod:`vggrepro.layers.rules.winograd_gradients` use the
same polynomials in ways of their own.

CPU cores, and a GPU without its tensor cores, are bound by multiplications; docs/performance.md has the
times.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape
from vggrepro.layers.rules.batch_pieces import split_images, sum_of
from vggrepro.layers.rules.window import Windows

CHUNK = 2**25
"""Elements of transformed tensors (128 MiB) that are alive at a time in the weight's gradient."""

LEAST_FOR_INPUT = 48
LEAST_FOR_WEIGHT = 16
"""C * K / (C + K) from which on the two gradients are faster here than by direct summation."""
LEAST_FOR_WEIGHT_ON_CUDA = 48
"""The same for the weight's gradient on a GPU; the transforms weigh more there."""

TILE = (4, 2)
"""Rows and columns of a tile."""

FILTER = (3, 3)

ROW_POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
COLUMN_POINTS = (Fraction(0), Fraction(1), Fraction(-1))
"""The points at which the polynomials are evaluated along each axis. The point at infinity is one more along
both. The points decide the rounding error. Over 256 channels it was at most 1.0e-6 of the largest
gradient, 2.7e-7 by plain summation. 1/2 and -2 halve what 2 and -2 leave; 6 points in both directions
would spare more products, 4 for 1, but leave 4e-6."""

POINTS = (len(ROW_POINTS) + 1) * (len(COLUMN_POINTS) + 1)

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Transforms:
    """The matrices for both axes at once: ``outputs`` (outputs, 24), ``filter`` (24, filter) and
    ``image`` (24, tile + filter - 1 in each direction)."""

    outputs: Matrix
    filter: Matrix
    image: Matrix


def toom_cook(
    points: tuple[Fraction, ...], outputs: int, filter_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A, G and B for correlation along one axis, at ``outputs + filter_size - 2`` points and infinity.

    B holds the polynomials that vanish at all points but one, which stay exact in binary for such
    points as these; their values there, by which they must be divided, go into G.
    """
    powers = [[p**i for i in range(max(outputs, filter_size))] for p in points]
    scales = [prod((p - q for q in points if q != p), start=Fraction(1)) for p in points]
    infinite = [[Fraction(i == size - 1) for i in range(size)] for size in (outputs, filter_size)]
    a = [*(row[:outputs] for row in powers), infinite[0]]
    g = [*([v / s for v in row[:filter_size]] for row, s in zip(powers, scales, strict=True)), infinite[1]]
    b = [[*_polynomial([q for q in points if q != p]), Fraction(0)] for p in points]
    b.append(_polynomial(points))
    return np.array(a, np.float64).T, np.array(g, np.float64), np.array(b, np.float64)


def _polynomial(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), the constant one first."""
    result = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *result]
        result = [s - root * r for s, r in zip(shifted, [*result, Fraction(0)], strict=True)]
    return result


@cache
def _transforms(outputs: tuple[int, int], filter_sizes: tuple[int, int]) -> Transforms:
    rows = toom_cook(ROW_POINTS, outputs[0], filter_sizes[0])
    columns = toom_cook(COLUMN_POINTS, outputs[1], filter_sizes[1])
    a, g, b = (np.kron(r, c).astype(np.float32) for r, c in zip(rows, columns, strict=True))
    return Transforms(a, g, b)


def holds(windows: Windows, group: int) -> bool:
    """Whether the rules here are those of a convolution."""
    return (
        windows.kernel == FILTER
        and windows.stride == windows.dilation == (1, 1)
        and max(windows.pad) < max(FILTER)
        and group == 1
    )


def saves_time(channels: int, outputs: int, tiled: Shape, least: int) -> bool:
    """Whether it is faster than direct summation from ``channels`` to ``outputs`` channels.

    The transforms cost time in proportion to C + K, the products that they spare to C * K; and tiles
    that stand over the edges of the tiled sizes must not eat up what is won.
    """
    if channels * outputs < least * (channels + outputs):
        return False
    return 2 * POINTS * prod(_tiles(tiled)) <= prod(FILTER) * prod(tiled)


def weight_gradient(g: GraphBuilder, x: str, dy: str, x_shape: Shape, y_shape: Shape, pad: Shape) -> str:
    """The gradient of the weight (K, C, 3, 3): each tile of dy is a filter over the tile of x that
    it has seen, and the results are summed over the tiles before the outputs are formed.

    So many images at a time as fit into CHUNK."""
    transforms = _transforms(FILTER, TILE)
    channels, outputs = x_shape[1], y_shape[1]
    tiles = _tiles(y_shape[2:])
    sums = []
    for count, (xs, dys) in split_images(g, [x, dy], x_shape[0], _most(x_shape, y_shape, tiles, CHUNK)):
        seen = _image_tiles(g, xs, (count, *x_shape[1:]), tiles, pad, transforms)  # (24, C, n tiles)
        dy_tiles = _filter_tiles(g, dys, (count, *y_shape[1:]), tiles, transforms)  # (24, K, n tiles)
        sums.append(g.op("MatMul", dy_tiles, g.op("Transpose", seen, perm=[0, 2, 1])))  # (24, K, C)
    flat = g.op("Reshape", sum_of(g, sums), g.ints([POINTS, outputs * channels]))
    filters = g.op("MatMul", g.const(transforms.outputs), flat)  # (9, K C)
    turned = g.op("Transpose", filters, perm=[1, 0])
    return g.op("Reshape", turned, g.ints([outputs, channels, *FILTER]))


def _tiles(sizes: Shape | list[int]) -> tuple[int, int]:
    rows, columns = (-(-size // tile) for size, tile in zip(sizes, TILE, strict=True))
    return rows, columns


def _most(x: Shape, y: Shape, tiles: tuple[int, int], chunk: int) -> int:
    """Images whose tiles, of x and y together, stay within ``chunk`` elements."""
    return max(chunk // (POINTS * prod(tiles) * (x[1] + y[1])), 1)


def _image_tiles(
    g: GraphBuilder,
    t: str,
    shape: Shape,
    tiles: tuple[int, int],
    pad: Shape | list[int],
    transforms: Transforms,
) -> str:
    """Overlapping tiles of t (N, C, H, W), zero outside, at the points: (24, C, N * tiles)."""
    window = [tile + size - 1 for tile, size in zip(TILE, FILTER, strict=True)]
    ends = [
        count * tile + extent - 1 - p - size
        for count, tile, extent, p, size in zip(tiles, TILE, FILTER, pad, shape[2:], strict=True)
    ]
    return _at_points(g, t, shape, tiles, transforms.image, window, [*pad, *ends])


def _filter_tiles(
    g: GraphBuilder, t: str, shape: Shape, tiles: tuple[int, int], transforms: Transforms
) -> str:
    """Tiles of t (N, K, H, W), each as a filter, at the points: (24, K, N * tiles)."""
    ends = [count * tile - size for count, tile, size in zip(tiles, TILE, shape[2:], strict=True)]
    return _at_points(g, t, shape, tiles, transforms.filter, list(TILE), [0, 0, *ends])


def _at_points(
    g: GraphBuilder,
    t: str,
    shape: Shape,
    tiles: tuple[int, int],
    matrix: Matrix,
    window: list[int],
    pads: list[int],
) -> str:
    """Every window of a channel, one for each tile, times the same matrix (24, window)."""
    images, channels = shape[:2]
    # As images of one channel each: cuDNN has no fast kernel for many filters in each of many channels.
    planes = g.op("Reshape", t, g.ints([images * channels, 1, *shape[2:]]))
    filters = g.const(matrix.reshape(POINTS, 1, *window))
    values = g.op("Conv", planes, filters, strides=TILE, kernel_shape=window, pads=pads)
    values = g.op("Reshape", values, g.ints([images, channels, POINTS, prod(tiles)]))
    values = g.op("Transpose", values, perm=[2, 1, 0, 3])
    return g.op("Reshape", values, g.ints([POINTS, channels, images * prod(tiles)]))

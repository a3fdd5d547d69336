"""The two gradients of a 3x3 convolution by minimal filtering.

For the gradient of the image a tile holds outputs of the turned 3x3 filter, which passes over the top's
gradient. For the gradient of the filter a tile of the top's gradient is the filter, which passes over the
image, and the 3x3 gradient holds the outputs. See :mod:`~vggrepro.layers.rules.winograd` for the arithmetic.

On a CPU one image after another is taken from its tiles to its products, so that what lies between stays in
the cache. The tiles are cut and brought to the points by one strided convolution within each channel, which
leaves the points behind the channels. ONNX Runtime's matrix product reads them there: it makes one operator
of a product and the Transpose before it. On a GPU many images are taken at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from vggrepro.emit import GraphBuilder, Shape
from vggrepro.layers.rules.batch_pieces import split_images
from vggrepro.layers.rules.winograd import COLUMN_POINTS, FILTER, ROW_POINTS, TILE, Matrix, toom_cook

Points = tuple[Fraction, ...]


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``tile`` rows and columns, whose polynomials are evaluated at points along each axis, and at
    infinity."""

    tile: tuple[int, int]
    row_points: Points
    column_points: Points

    @property
    def points(self) -> int:
        return (len(self.row_points) + 1) * (len(self.column_points) + 1)

    @property
    def window(self) -> tuple[int, int]:
        """What a tile and the filter see together."""
        rows, columns = (tile + size - 1 for tile, size in zip(self.tile, FILTER, strict=True))
        return rows, columns

    def counts(self, sizes: Shape) -> tuple[int, int]:
        """How many tiles cover the rows and the columns of a plane of these ``sizes``."""
        rows, columns = (-(-size // tile) for size, tile in zip(sizes, self.tile, strict=True))
        return rows, columns

    def products(self, sizes: Shape) -> int:
        """Products for one channel of an image and one filter."""
        return self.points * prod(self.counts(sizes))

    def transforms(self, outputs: Shape, filter_sizes: Shape) -> tuple[Matrix, Matrix, Matrix]:
        """The matrices for both axes at once: (outputs, points), (points, filter) and (points, window)."""
        rows = toom_cook(self.row_points, outputs[0], filter_sizes[0])
        columns = toom_cook(self.column_points, outputs[1], filter_sizes[1])
        a, g, b = (np.kron(r, c).astype(np.float32) for r, c in zip(rows, columns, strict=True))
        return a, g, b


FOR_INPUT = Tiling(TILE, ROW_POINTS, COLUMN_POINTS)

_BALANCED = (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2))
FOR_WEIGHT = Tiling((4, 4), _BALANCED, _BALANCED)
"""36 products stand for 144. What they round is lost in the sum over all tiles: in a backward pass of VGG-A
the gradients of the weights keep the errors that they have with tiles of 4 x 2 (1.6e-6 of the largest one at
most), which come from the gradients of the images below. Those would double with such tiles."""

FOR_WEIGHT_ON_CUDA = FOR_INPUT
"""As measured on an H200."""

CHUNK = 2**25
"""Elements of values at the points (128 MiB) that a GPU has of x and dy together at a time."""

ENOUGH, TOGETHER = 98, 392
"""An image with ``ENOUGH`` tiles is taken alone; of smaller ones as many as have ``TOGETHER`` tiles."""

PIECE = 2**20
"""But so many images that their values at the points are as many elements as this (4 MiB), at least: for less
work an operator is not worth while."""


def input_gradient(g: GraphBuilder, dy: str, weight: str, x: Shape, y: Shape, pad: Shape) -> str:
    """The gradient of x (N, C, H, W) from dy, of shape y (N, K, H', W'), and the weight (K, C, 3, 3).

    It is the correlation of dy, padded by 2 - pad, with the turned filters.
    """
    tiling = FOR_INPUT
    outputs, filter_, image = tiling.transforms(tiling.tile, FILTER)
    counts = tiling.counts(x[2:])
    filters = _turned(g, weight, y[1], x[1], filter_)
    back = [size - 1 - p for size, p in zip(FILTER, pad, strict=True)]
    results = []
    for images, (part,) in split_images(g, [dy], x[0], _together(tiling, counts, x[1] + y[1])):
        seen = _at_points(g, part, (images, *y[1:]), counts, tiling, image, back)
        products = g.op("MatMul", filters, _points_first(g, seen))  # (points, C, n tiles)
        results.append(_untiled(g, products, (images, *x[1:]), counts, tiling, outputs))
    return results[0] if len(results) == 1 else g.op("Concat", *results, axis=0)


def weight_gradient(g: GraphBuilder, x: str, dy: str, x_shape: Shape, y_shape: Shape, pad: Shape) -> str:
    """The gradient of the weight (K, C, 3, 3): each tile of dy is a filter over the tile of x that
    it has seen, and the results are summed over the tiles before the outputs are formed."""
    tiling = for_weight(on_cuda=g.on_cuda)
    outputs, filter_, image = tiling.transforms(FILTER, tiling.tile)
    counts = tiling.counts(y_shape[2:])
    channels = x_shape[1] + y_shape[1]
    most = _chunk(tiling, counts, channels) if g.on_cuda else _together(tiling, counts, channels)
    sums = []
    for images, (xs, dys) in split_images(g, [x, dy], x_shape[0], most):
        seen = _at_points(g, xs, (images, *x_shape[1:]), counts, tiling, image, pad)
        filters = _at_points(g, dys, (images, *y_shape[1:]), counts, tiling, filter_, [0, 0])
        sums.append(g.op("MatMul", _points_first(g, filters), _points_first(g, seen, turned=True)))
    flat = g.op("Reshape", g.sum_in_order(sums), g.ints([tiling.points, y_shape[1] * x_shape[1]]))
    rows = g.op("MatMul", g.op("Transpose", flat, perm=[1, 0]), g.const(outputs.T))  # (K C, 9)
    return g.op("Reshape", rows, g.ints([y_shape[1], x_shape[1], *FILTER]))


def _chunk(tiling: Tiling, counts: Shape, channels: int) -> int:
    """Images, but one at least, whose values at the points stay within CHUNK elements."""
    return max(CHUNK // (tiling.points * prod(counts) * channels), 1)


def _together(tiling: Tiling, counts: Shape, channels: int) -> int:
    """Images whose tiles are multiplied at a time, with so many ``channels`` in x and y together."""
    tiles = prod(counts)
    by_tiles = 1 if tiles >= ENOUGH else -(-TOGETHER // tiles)
    return max(by_tiles, -(-PIECE // (tiling.points * tiles * channels)))


def _turned(g: GraphBuilder, weight: str, outputs: int, inputs: int, filter_: Matrix) -> str:
    """The filters (K, C, 3, 3), turned by 180 degrees, at the points: (points, C, K)."""
    rows = g.op("Reshape", weight, g.ints([outputs * inputs, prod(FILTER)]))
    taps = g.op("Transpose", rows, perm=[1, 0])
    values = g.op("MatMul", g.const(filter_[:, ::-1]), taps)
    values = g.op("Reshape", values, g.ints([len(filter_), outputs, inputs]))
    return g.op("Transpose", values, perm=[0, 2, 1])


def for_weight(*, on_cuda: bool) -> Tiling:
    """The tiles of the weight's gradient."""
    return FOR_WEIGHT_ON_CUDA if on_cuda else FOR_WEIGHT


@dataclass(frozen=True)
class _Values:
    """Values at the points of the tiles of ``images`` images: ``name`` (N, C, points, tiles)."""

    name: str
    images: int
    channels: int
    points: int


def _at_points(
    g: GraphBuilder, t: str, shape: Shape, counts: Shape, tiling: Tiling, matrix: Matrix, pad: Sequence[int]
) -> _Values:
    """Every window of a channel of t (N, C, H, W), one for each tile and zero outside, times the same matrix
    (points, window). On a CPU the tiles of all images are put side by side, as those of one: a Concat, which
    all threads share, takes half as long as the Transpose that several images would need."""
    images, channels = shape[:2]
    if images > 1 and not g.on_cuda:
        alone = [part for _, (part,) in split_images(g, [t], images, 1)]
        each = [_at_points(g, part, (1, *shape[1:]), counts, tiling, matrix, pad).name for part in alone]
        return _Values(g.op("Concat", *each, axis=2), 1, channels, tiling.points)
    window = tiling.window if matrix.shape[1] == prod(tiling.window) else tiling.tile
    ends = [
        (count - 1) * tile + seen - p - size
        for count, tile, seen, p, size in zip(counts, tiling.tile, window, pad, shape[2:], strict=True)
    ]
    group = channels
    # Each channel as an image: cuDNN has no fast kernel for many filters in each of many channels.
    if g.on_cuda:
        t, group = g.op("Reshape", t, g.ints([images * channels, 1, *shape[2:]])), 1
    kernels = g.const(np.tile(matrix.reshape(tiling.points, 1, *window), (group, 1, 1, 1)))
    pads = [*pad, *ends]
    values = g.op("Conv", t, kernels, group=group, kernel_shape=window, strides=tiling.tile, pads=pads)
    sizes = [channels, tiling.points, prod(counts)]
    name = g.op("Reshape", values, g.ints(sizes if images == 1 else [images, *sizes]))
    return _Values(name, images, channels, tiling.points)


def _points_first(g: GraphBuilder, values: _Values, *, turned: bool = False) -> str:
    """Values as (points, C, N * tiles), or turned as (points, N * tiles, C)."""
    if values.images == 1:
        return g.op("Transpose", values.name, perm=[1, 2, 0] if turned else [1, 0, 2])
    moved = g.op("Transpose", values.name, perm=[2, 1, 0, 3])
    joined = g.op("Reshape", moved, g.ints([values.points, values.channels, -1]))
    return g.op("Transpose", joined, perm=[0, 2, 1]) if turned else joined


def _untiled(
    g: GraphBuilder, products: str, shape: Shape, counts: Shape, tiling: Tiling, outputs: Matrix
) -> str:
    """Values at the points (points, C, N * tiles) as the image (N, C, H, W)."""
    images, channels, *sizes = shape
    planes = g.op("Reshape", products, g.ints([1, tiling.points, channels * images * counts[0], counts[1]]))
    kernel = g.const(outputs.T.reshape(tiling.points, 1, *tiling.tile))
    image = g.op("ConvTranspose", planes, kernel, kernel_shape=tiling.tile, strides=tiling.tile)
    whole = [count * tile for count, tile in zip(counts, tiling.tile, strict=True)]
    order = [images, channels] if images == 1 else [channels, images]
    image = g.op("Reshape", image, g.ints([*order, *whole]))
    if images > 1:
        image = g.op("Transpose", image, perm=[1, 0, 2, 3])
    return image if whole == sizes else g.op("Slice", image, g.ints([0, 0]), g.ints(sizes), g.ints([2, 3]))

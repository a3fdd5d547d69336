"""3x3 convolutions with stride 1 by minimal filtering, forward.

With tiles of 4 x 4 outputs, 6 * 6 = 36 products stand for 144 (the polynomials are those of
:mod:`vggrepro.layers.rules.winograd`). What ONNX Runtime does fast on a CPU are convolutions whose channels
come in blocks, so everything but the last step is said with such: values at the points by convolutions
within each channel, first along the columns of the image and then along its rows, and the products as
convolutions of 1 x 1 in groups, one group for each point. Only the outputs are formed by matrix products,
which put the four columns of a tile side by side as they go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import FixedShapeError
from vggrepro.layers.rules.batch_pieces import split_images
from vggrepro.layers.rules.window import Windows
from vggrepro.layers.rules.winograd import FILTER, toom_cook

CHUNK = 2**22
"""Elements of transformed tensors (16 MiB) that are alive at a time, where all sizes are fixed: in a training
step all activations that the gradients need are alive besides."""

KEPT = 2**22
"""Elements of filters at the points (16 MiB) that stay in a processor's cache from image to image."""

LEAST = 40
"""C * K / (C + K) from which on this is faster than direct summation."""

BLOCK = 16
"""ONNX Runtime keeps blocks of channels together where their number is a multiple of this."""

TILE = 4
"""Rows and columns of a tile."""

POINTS = (Fraction(0), Fraction(11, 16), Fraction(-11, 16), Fraction(3, 2), Fraction(-3, 2))
"""The points at which the polynomials are evaluated along both axes, besides infinity. They decide the
rounding: of the symmetric ones in steps of 1/16 these come within 2 % of the least error in the mean (6.9
times that of direct summation over 256 channels, when all products are summed in one go), and near
the least in the maximum. With 1, -1, 1/2 and -2 it is 9.6 times."""

COUNT = len(POINTS) + 1

Matrix = npt.NDArray[np.float64]


@cache
def transforms() -> tuple[Matrix, Matrix, Matrix]:
    """A (4, 6), G (6, 3) and B (6, 6) along one axis."""
    return toom_cook(POINTS, TILE, FILTER[0])


def saves_time(channels: int, outputs: int, sizes: Dims) -> bool:
    """Whether it is faster than direct summation from ``channels`` to ``outputs`` channels and to tops of
    ``sizes`` (None: free, and taken to be large).

    The transforms cost time in proportion to C + K, the products that they spare to C * K; and tiles
    that stand over the edges must not eat up what is won.
    """
    if not blocks_pay(channels, outputs, LEAST):
        return False
    fixed = [size for size in sizes if size is not None]
    return len(fixed) < len(sizes) or 2 * products(fixed) <= prod(FILTER) * prod(fixed)


def blocks_pay(channels: int, outputs: int, least: int) -> bool:
    """Whether C * K / (C + K) is at least ``least``, and ONNX Runtime keeps blocks of both together."""
    return not (channels % BLOCK or outputs % BLOCK) and channels * outputs >= least * (channels + outputs)


def products(sizes: Sequence[int]) -> int:
    """Products for one channel of an image, one filter and tops of ``sizes``."""
    return COUNT**2 * _tiles(sizes)


def forward(g: GraphBuilder, x: Value, params: Sequence[str], outputs: int, windows: Windows) -> str:
    """The convolution of x (N, C, H, W) with params: a weight (outputs, C, 3, 3) and perhaps a bias.

    Free sizes of x are computed when the graph runs. Images are taken one by one or a few at a time, so that
    tensors at the points stay in the processor's cache: in a Scan where their number is free, unless the
    filters are too large to stay there too; in pieces of at most CHUNK elements where all sizes are fixed.
    """
    images, channels, *area = x.dims
    if channels is None:
        raise FixedShapeError(f"blob {x.name!r}: the number of channels must be fixed")
    sizes = windows.conv_sizes(tuple(area))
    whole = all(size is not None and size % TILE == 0 for size in sizes)
    map_ = _Map(params, channels, outputs, windows.pad, whole)
    if images is None and COUNT**2 * channels * outputs <= KEPT:
        return g.scan(x, params, map_.of_image)
    filters = map_.filters(g)
    if images is None or None in sizes:
        return map_.of_images(g, x.name, filters)
    each = products(Value("y", sizes).shape) * (channels + outputs)
    pieces = split_images(g, [x.name], images, max(CHUNK // each, 1))
    results = [map_.of_images(g, part, filters) for _, (part,) in pieces]
    return results[0] if len(results) == 1 else g.op("Concat", *results, axis=0)


def _tiles(sizes: Sequence[int]) -> int:
    return prod(-(-size // TILE) for size in sizes)


@dataclass(frozen=True)
class _Map:
    """The convolution of images with ``params``. ``whole``: no tile stands over an edge of the tops."""

    params: Sequence[str]
    channels: int
    outputs: int
    pad: Shape
    whole: bool

    def of_image(self, g: GraphBuilder, image: str) -> str:
        """The top (K, H', W') of one image (C, H, W)."""
        products = self._products(g, g.op("Unsqueeze", image, g.ints([0])), self.filters(g))
        return self._finished(g, image, self._outputs(g, products, [self.outputs]))

    def of_images(self, g: GraphBuilder, x: str, filters: Sequence[str]) -> str:
        """The tops (N, K, H', W') of images (N, C, H, W)."""
        products = self._products(g, x, filters)
        return self._finished(g, x, self._outputs(g, products, [0, self.outputs]))

    def filters(self, g: GraphBuilder) -> list[str]:
        """The filters (K, C, 3, 3) at the points: for each point along the rows (6 K, C, 1, 1), those of the
        points along the columns one behind the other. Constant ones are computed when the session is made."""
        taps = g.op("Reshape", self.params[0], g.ints([self.outputs * self.channels, prod(FILTER)]))
        taps = g.op("Transpose", taps, perm=[1, 0])  # (9, K C)
        shape = g.ints([COUNT * self.outputs, self.channels, 1, 1])
        _, matrix, _ = transforms()
        along_rows = (g.const(np.kron(matrix, row)) for row in matrix)  # (6, 9) each
        return [g.op("Reshape", g.op("MatMul", at_points, taps), shape) for at_points in along_rows]

    def _products(self, g: GraphBuilder, x: str, filters: Sequence[str]) -> list[str]:
        """The products at the points: for each point along the rows (N, 6 K, tile rows, tile columns), those
        of the points along the columns one behind the other."""
        _, _, matrix = transforms()
        columns = [at_point(g, x, self.channels, point, 0, self.pad[0]) for point in matrix]
        joined = g.op("Concat", *columns, axis=1)  # (N, 6 C, tile rows, W)
        results = []
        for point, values in zip(matrix, filters, strict=True):
            seen = at_point(g, joined, COUNT * self.channels, point, 1, self.pad[1])
            results.append(g.op("Conv", seen, values, group=COUNT, kernel_shape=[1, 1]))
        return results

    def _outputs(self, g: GraphBuilder, products: Sequence[str], head: Sequence[int]) -> str:
        """The map (*head, rows, columns) of whole tiles from the products at the points."""
        matrix, _, _ = transforms()
        left, right = g.const(matrix), g.const(matrix.T)
        flat = (g.op("Reshape", at_points, g.ints([0, COUNT, -1])) for at_points in products)
        rows = g.op("Concat", *(g.op("MatMul", left, values) for values in flat), axis=1)
        rows = g.op("Reshape", rows, g.ints([0, COUNT, -1]))  # (N, 6, 4 K tiles)
        # ONNX Runtime makes one operator of this Transpose and this MatMul.
        y = g.op("MatMul", g.op("Transpose", rows, perm=[0, 2, 1]), right)  # (N, 4 K tiles, 4)
        width = g.op("Mul", g.op("Shape", products[0], start=3), g.ints([TILE]))
        y = g.op("Reshape", y, g.op("Concat", g.ints([0, TILE, -1]), width, axis=0))
        y = g.op("Transpose", y, perm=[0, 2, 1, 3])  # the rows of a tile one below the other
        return g.op("Reshape", y, g.op("Concat", g.ints([*head, -1]), width, axis=0))

    def _finished(self, g: GraphBuilder, x: str, y: str) -> str:
        """y without what stands over the edges, and with the bias."""
        if not self.whole:
            less = g.ints([2 * p - size + 1 for p, size in zip(self.pad, FILTER, strict=True)])
            ends = g.op("Add", g.op("Shape", x, start=-2), less)
            y = g.op("Slice", y, g.ints([0, 0]), ends, g.ints([-2, -1]))
        _, *bias = self.params
        return g.op("Add", y, g.op("Unsqueeze", *bias, g.ints([1, 2]))) if bias else y


def at_point(g: GraphBuilder, x: str, channels: int, point: Matrix, axis: int, pad: int) -> str:
    """The value at one point of every window of six along a spatial axis; a window begins every four."""
    kernel, strides, before, after = [1, 1], [1, 1], [0, 0], [0, 0]
    kernel[axis], strides[axis], before[axis], after[axis] = COUNT, TILE, pad, pad + TILE - 1
    taps = np.tile(point.reshape(1, 1, *kernel), (channels, 1, 1, 1))
    return g.op(
        "Conv",
        x,
        g.const(taps),
        group=channels,
        kernel_shape=kernel,
        strides=strides,
        pads=[*before, *after],
    )

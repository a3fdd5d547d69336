"""The gradient of a convolution's weight by products of every second row and column.

Row 2 t + s of dy, s = 0 or 1, meets row 2 t + s + k of the padded x at offset k of the kernel. That is row
r = 0 or 1 of pair t + i, where 2 i + r = s + k. So x and dy are cut into pairs of rows and of columns; one
matrix product for each shift i of whole pairs gives what all r and s contribute, and each element of the
gradient is a sum of four results. For 3x3 filters 4 shifts of x are copied, where unfolding copies 9. The
products have 16 / 9 of the multiplications, some for nothing; for tensor cores that is less than the copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from vggrepro.emit import GraphBuilder, Shape
from vggrepro.layers.rules.batch_pieces import split_images, sum_of
from vggrepro.layers.rules.window import Windows
from vggrepro.layers.rules.winograd import holds

LEAST_PLACES = 50 * 50
"""Outputs of a channel from which on this is faster than unfolding by one Gather (H200, VGG-D's layers)."""

CHUNK = 2**26
"""Elements (256 MiB) of one shift of x that are alive at a time."""

_PHASES = (0, 1)


@dataclass(frozen=True)
class PhasedWeight:
    """For ``x`` (N, C, H, W) and ``y`` (N, K, H', W'), stride 1 and one group."""

    x: Shape
    y: Shape
    windows: Windows

    def pays(self, group: int) -> bool:
        """Whether the rule holds, and saves time where tensor cores multiply."""
        return holds(self.windows, group) and prod(self.y[2:]) >= LEAST_PLACES

    def emit(self, g: GraphBuilder, x: str, dy: str) -> str:
        """The gradient of the weight, (K, C, kernel height, kernel width)."""
        inputs, outputs, kernel = self.x[1], self.y[1], self.windows.kernel
        most = max(CHUNK // (4 * inputs * prod(self._pairs)), 1)
        parts = split_images(g, [x, dy], self.x[0], most)
        sums = sum_of(g, [self._products(g, images, xs, dys) for images, (xs, dys) in parts])
        rows = g.op("Gather", sums, g.const(self._contributions(), np.int32), axis=0)  # (kernel, 4, K C)
        flat = g.op("ReduceSum", rows, g.ints([1]), keepdims=0)
        turned = g.op("Transpose", flat, perm=[1, 0])
        return g.op("Reshape", turned, g.ints([outputs, inputs, *kernel]))

    @property
    def _pairs(self) -> tuple[int, int]:
        """Pairs of rows and of columns of y; the last ones may be half empty."""
        return -(-self.y[2] // 2), -(-self.y[3] // 2)

    @property
    def _shifts(self) -> list[tuple[int, int]]:
        """How many pairs x is moved by, down and to the right."""
        height, width = (range(size // 2 + 1) for size in self.windows.kernel)
        return list(product(height, width))

    def _products(self, g: GraphBuilder, images: int, x: str, dy: str) -> str:
        """For each shift, phase of dy and phase of x the product of all channels: (shifts 4 4, K C)."""
        inputs, outputs, pairs = self.x[1], self.y[1], self._pairs
        wider = [p + size // 2 for p, size in zip(pairs, self.windows.kernel, strict=True)]
        x_phases = self._phases(g, x, (images, *self.x[1:]), wider, self.windows.pad)
        dy_phases = self._phases(g, dy, (images, *self.y[1:]), pairs, (0, 0))
        left = g.op("Reshape", dy_phases, g.ints([4 * outputs, -1]))
        results = []
        for shift in self._shifts:
            ends = [i + p for i, p in zip(shift, pairs, strict=True)]
            moved = g.op("Slice", x_phases, g.ints(shift), g.ints(ends), g.ints([4, 5]))
            both = g.op("Gemm", left, g.op("Reshape", moved, g.ints([4 * inputs, -1])), transB=1)
            results.append(g.op("Reshape", both, g.ints([1, 4, outputs, 4, inputs])))
        joined = g.op("Transpose", g.op("Concat", *results, axis=0), perm=[0, 1, 3, 2, 4])
        return g.op("Reshape", joined, g.ints([16 * len(self._shifts), outputs * inputs]))

    def _phases(
        self, g: GraphBuilder, t: str, shape: Shape, pairs: tuple[int, int] | list[int], pad: Shape
    ) -> str:
        """(N, channels, H, W) as (2, 2, channels, N, pairs of rows, pairs of columns), zero outside."""
        ends = [2 * count - p - size for count, p, size in zip(pairs, pad, shape[2:], strict=True)]
        if any((*pad, *ends)):
            t = g.op("Pad", t, g.ints([0, 0, *pad, 0, 0, *ends]))
        cut = g.op("Reshape", t, g.ints([*shape[:2], pairs[0], 2, pairs[1], 2]))
        return g.op("Transpose", cut, perm=[3, 5, 1, 0, 2, 4])

    def _contributions(self) -> list[list[int]]:
        """For each offset in the kernel the four rows of the products that it is the sum of."""
        return [
            [self._row(down, right, row, column) for row, column in product(_PHASES, _PHASES)]
            for down, right in product(*map(range, self.windows.kernel))
        ]

    def _row(self, down: int, right: int, row: int, column: int) -> int:
        (i, r), (j, c) = divmod(down + row, 2), divmod(right + column, 2)
        return (self._shifts.index((i, j)) * 4 + 2 * row + column) * 4 + 2 * r + c

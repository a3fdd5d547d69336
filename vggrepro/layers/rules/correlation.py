"""The bilinear map under convolution and deconvolution, and its two gradients.

y[n, k, o] = sum of w[k, c, t] * x[n, c, o * stride + t * dilation - pad] over c and kernel offsets t. A
convolution computes y from x; a deconvolution computes x from y. Every rule here holds for any number of
spatial axes, stride, padding, dilation and group, at fixed sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from vggrepro.emit import GraphBuilder, Shape
from vggrepro.layers.rules import winograd
from vggrepro.layers.rules.batch_pieces import split_images, sum_of
from vggrepro.layers.rules.unfold import unfold
from vggrepro.layers.rules.window import Windows

CHUNK = 2**25
"""Elements of unfolded input (128 MiB) that the weight's gradient holds at a time."""


def conv_attributes(windows: Windows, beyond: Sequence[int] | None = None) -> dict[str, Any]:
    """Attributes of a Conv or ConvTranspose node; ``beyond``: padding at the end besides ``pad``."""
    ends = [p + b for p, b in zip(windows.pad, beyond or [0] * len(windows.pad), strict=True)]
    return {
        "kernel_shape": windows.kernel,
        "strides": windows.stride,
        "dilations": windows.dilation,
        "pads": [*windows.pad, *ends],
    }


@dataclass(frozen=True)
class Correlation:
    """``x`` (N, C, sizes...), ``y`` (N, K, sizes...), weight (K, C / group, kernel...)."""

    x: Shape
    y: Shape
    windows: Windows
    group: int

    def forward(self, g: GraphBuilder, x: str, weight: str) -> str:
        """y."""
        beyond = self.windows.shortfall(self.x[2:])
        return g.op("Conv", x, weight, group=self.group, **conv_attributes(self.windows, beyond))

    def input_gradient(self, g: GraphBuilder, dy: str, weight: str) -> str:
        """The gradient of x. With stride 1 it is a correlation itself, which Conv nodes compute
        faster than ConvTranspose nodes do (121 ms against 146 for VGG-A's conv3_2, one thread)."""
        w = self.windows
        if self._minimal(self.x[2:], winograd.LEAST_FOR_INPUT):
            return winograd.input_gradient(g, dy, weight, self.x, self.y, w.pad)
        if all(s == 1 and p < e for s, p, e in zip(w.stride, w.pad, w.extents, strict=True)):
            pad = tuple(e - 1 - p for p, e in zip(w.pad, w.extents, strict=True))
            back = Windows(w.kernel, w.stride, pad, w.dilation)
            return g.op("Conv", dy, self._turned(g, weight), group=self.group, **conv_attributes(back))
        beyond = w.shortfall(self.x[2:])
        sizes = zip(self.x[2:], w.pad, w.extents, w.stride, beyond, strict=True)
        unread = [(size + 2 * p + b - e) % s for size, p, e, s, b in sizes]
        attributes = {"output_padding": unread, **conv_attributes(w, beyond)}
        return g.op("ConvTranspose", dy, weight, group=self.group, **attributes)

    def _minimal(self, tiled: Shape, least: int) -> bool:
        return winograd.holds(self.windows, self.group) and winograd.saves_time(self.x, self.y, tiled, least)

    def _turned(self, g: GraphBuilder, weight: str) -> str:
        """(K, C / group, kernel...) as (C, K / group, kernel...), reversed along each kernel axis."""
        kernel, groups = self.windows.kernel, self.group
        inputs, outputs = self.x[1] // groups, self.y[1] // groups
        axes = list(range(2, 2 + len(kernel)))
        split = g.op("Reshape", weight, g.ints([groups, outputs, inputs, *kernel]))
        swapped = g.op("Transpose", split, perm=[0, 2, 1, *(a + 1 for a in axes)])
        joined = g.op("Reshape", swapped, g.ints([groups * inputs, outputs, *kernel]))
        if prod(kernel) == 1:
            return joined
        first, beyond = [-1] * len(axes), [-size - 1 for size in kernel]
        return g.op("Slice", joined, g.ints(first), g.ints(beyond), g.ints(axes), g.ints(first))

    def weight_gradient(self, g: GraphBuilder, x: str, dy: str) -> str:
        """The gradient of the weight: the product of dy and the unfolded x over images and positions."""
        if self._minimal(self.y[2:], winograd.LEAST_FOR_WEIGHT):
            return winograd.weight_gradient(g, x, dy, self.x, self.y, self.windows.pad)
        unfolded = self.x[1] * prod(self.windows.kernel) * prod(self.y[2:])
        parts = split_images(g, [x, dy], self.x[0], max(CHUNK // unfolded, 1))
        total = sum_of(g, [self._product(g, images, xs, dys) for images, (xs, dys) in parts])
        return g.op("Reshape", total, g.ints([self.y[1], self.x[1] // self.group, *self.windows.kernel]))

    def _product(self, g: GraphBuilder, images: int, x: str, dy: str) -> str:
        positions, groups = prod(self.y[2:]), self.group
        columns = unfold(g, x, (images, *self.x[1:]), self.windows)
        left = self._matrix(g, dy, images, self.y[1] // groups, positions)
        right = self._matrix(g, columns, images, self.x[1] // groups * prod(self.windows.kernel), positions)
        return g.op("MatMul", left, g.op("Transpose", right, perm=[0, 2, 1]))

    def _matrix(self, g: GraphBuilder, t: str, images: int, rows: int, positions: int) -> str:
        """(images, group * rows, positions) as (group, rows, images * positions)."""
        split = g.op("Reshape", t, g.ints([images, self.group, rows, positions]))
        moved = g.op("Transpose", split, perm=[1, 2, 0, 3])
        return g.op("Reshape", moved, g.ints([self.group, rows, images * positions]))

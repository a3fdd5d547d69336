"""Convolution over any number of axes (Caffe's Convolution layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, RuleSet, Value
from vggrepro.layers.base import Array, Shapes, register
from vggrepro.layers.rules import winograd, winograd_columns, winograd_forward, winograd_rows
from vggrepro.layers.rules.base_convolution import BaseConvolution, Pair
from vggrepro.layers.rules.correlation import Correlation, conv_attributes
from vggrepro.layers.rules.turned import pays, transposed_forward
from vggrepro.layers.rules.unfold import at, offset_slices, pad_widths
from vggrepro.layers.rules.window import Windows


@register
@dataclass(frozen=True)
class Convolution(BaseConvolution):
    """y[n, k, o] = b[k] + sum of w[k, c, t] * x[n, c, o * stride + t * dilation - pad] over c and kernel
    offsets t.

    Bottoms (..., C, sizes...), tops (..., num_output, sizes...). ``force_nd_im2col`` and ``engine``
    choose among Caffe's implementations of the same sum, and are ignored.
    """

    type = "Convolution"

    def _top_sizes(self, windows: Windows, sizes: Dims) -> Dims:
        return windows.conv_sizes(sizes)

    def _weight_axes(self, channels: int) -> tuple[int, int]:
        return self.num_output, channels // self.group

    def _node(self, g: GraphBuilder, x: Value, params: Sequence[str], windows: Windows) -> str:
        if self._minimal(g.rules, x.dims, windows):
            return winograd_forward.forward(g, x, params, self.num_output, windows)
        if self._minimal_along_rows(g.rules, x.dims, windows):
            return winograd_rows.forward(g, x, params, self.num_output, windows)
        if self._minimal_along_columns(g.rules, x.dims, windows):
            return winograd_columns.forward(g, x, params, windows)
        if self._transposed(g.rules, x.dims, windows):
            return transposed_forward(g, x, params, self.num_output, windows)
        beyond = windows.shortfall(x.dims[2:])
        return g.op("Conv", x.name, *params, group=self.group, **conv_attributes(windows, beyond))

    def _transposed(self, rules: RuleSet | None, x: Dims, windows: Windows) -> bool:
        """Whether a ConvTranspose gives the same faster, which it does on a GPU in float32 alone."""
        if rules != "cuda" or any(windows.shortfall(x[2:])):
            return False
        return pays(windows, self.group, (x[1], self.num_output), windows.conv_sizes(x[2:]))

    def _minimal(self, rules: RuleSet | None, x: Dims, windows: Windows) -> bool:
        """Whether minimal filtering holds and is faster, which it is on a CPU alone."""
        channels = x[1]
        if rules != "cpu" or channels is None or not winograd.holds(windows, self.group):
            return False
        return winograd_forward.saves_time(channels, self.num_output, windows.conv_sizes(x[2:]))

    def _minimal_along_rows(self, rules: RuleSet | None, x: Dims, windows: Windows) -> bool:
        """The same along the rows alone."""
        images, channels, *area = x
        if rules != "cpu" or channels is None or not winograd.holds(windows, self.group):
            return False
        sizes = windows.conv_sizes(tuple(area))
        return winograd_rows.saves_time(channels, self.num_output, images, sizes)

    def _minimal_along_columns(self, rules: RuleSet | None, x: Dims, windows: Windows) -> bool:
        """The same for filters that are 5 or 7 columns wide."""
        images, channels, *area = x
        if rules != "cpu" or channels is None or not winograd_columns.holds(windows, self.group):
            return False
        if any(windows.shortfall(tuple(area))):
            return False
        sizes = windows.conv_sizes(tuple(area))
        return winograd_columns.saves_time(channels, self.num_output, images, sizes)

    def _gradients(
        self, g: GraphBuilder, pair: Pair, windows: Windows, bottom: bool, weight: bool
    ) -> tuple[str | None, str | None]:
        map_ = Correlation(pair.x.shape, pair.y.shape, windows, self.group)
        return (
            map_.input_gradient(g, pair.dy, pair.weight) if bottom else None,
            map_.weight_gradient(g, pair.x.name, pair.dy) if weight else None,
        )

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """Axes along which a window is larger than all of its input, but counts."""
        layout, windows = self.windows(len(bottoms[0]))
        return windows.short_axes(self._padded(layout.sizes(bottoms[0])), layout.axis + 1)

    def macs(self, bottoms: Shapes) -> int:
        return sum(
            prod(top) // self.num_output * prod(self.param_defs([bottom])[0].shape)
            for bottom, top in zip(bottoms, self.out_shapes(bottoms), strict=True)
        )

    def _convolve(self, x: Array, weight: Array, windows: Windows) -> Array:
        out = Value("top", windows.conv_sizes(x.shape[2:])).shape
        x = np.pad(x, pad_widths(x.shape, windows))
        images, groups = len(x), self.group
        y = np.zeros((images, groups, self.num_output // groups, prod(out)))
        for offset in product(*map(range, windows.kernel)):
            seen = x[offset_slices(offset, out, windows)].reshape(images, groups, -1, prod(out))
            filters = weight[at(offset)].reshape(groups, -1, weight.shape[1])  # (G, K / G, C / G)
            y += filters @ seen
        return y.reshape(images, self.num_output, *out)

"""Deconvolution (Caffe's Deconvolution layer): convolution with its forward and backward exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array, Reach, Shapes, register
from vggrepro.layers.rules.base_convolution import BaseConvolution, Pair
from vggrepro.layers.rules.correlation import Correlation, conv_attributes
from vggrepro.layers.rules.unfold import at, offset_slices
from vggrepro.layers.rules.window import Windows


@register
@dataclass(frozen=True)
class Deconvolution(BaseConvolution):
    """y[n, k, o * stride + t * dilation - pad] = b[k] + sum over c, o and t of w[c, k, t] * x[n, c, o].

    Bottoms (..., C, sizes...), tops (..., num_output, sizes...), weight (C, num_output / group, kernel...).
    """

    type = "Deconvolution"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Deconvolution:
        layer = super().from_param(param, phase)
        if layer.edges is not None:
            raise UnsupportedError("convolution_param: pad_l, pad_r, pad_t, pad_b that differ by side")
        return layer

    def _top_sizes(self, windows: Windows, sizes: Dims) -> Dims:
        return windows.deconv_sizes(sizes)

    def _weight_axes(self, channels: int) -> tuple[int, int]:
        return channels, self.num_output // self.group

    def _node(self, g: GraphBuilder, x: Value, params: Sequence[str], windows: Windows) -> str:
        return g.op("ConvTranspose", x.name, *params, group=self.group, **conv_attributes(windows))

    def _gradients(
        self, g: GraphBuilder, pair: Pair, windows: Windows, bottom: bool, weight: bool
    ) -> tuple[str | None, str | None]:
        map_ = Correlation(pair.y.shape, pair.x.shape, windows, self.group)
        return (
            map_.forward(g, pair.dy, pair.weight) if bottom else None,
            map_.weight_gradient(g, pair.dy, pair.x.name) if weight else None,
        )

    def scaled(self, weight: Array, factor: Array) -> Array:
        """The weight (C, num_output / group, kernel...) has its groups one after another in C."""
        groups = weight.reshape(self.group, -1, *weight.shape[1:])
        factors = factor.reshape(self.group, 1, -1, *[1] * (weight.ndim - 2))
        return (groups * factors).reshape(weight.shape)

    def reach(self, bottom: Shape) -> Reach | None:
        """An element of the top sees a different number of elements from place to place."""
        return None

    def macs(self, bottoms: Shapes) -> int:
        layout, _ = self.windows(len(bottoms[0]))
        return sum(prod(b) // b[layout.axis] * prod(self.param_defs([b])[0].shape) for b in bottoms)

    def _convolve(self, x: Array, weight: Array, windows: Windows) -> Array:
        images, groups, sizes = len(x), self.group, x.shape[2:]
        padded = [
            (size - 1) * stride + extent
            for size, extent, stride in zip(sizes, windows.extents, windows.stride, strict=True)
        ]
        seen = x.reshape(images, groups, -1, prod(sizes))
        y = np.zeros((images, self.num_output, *padded))
        for offset in product(*map(range, windows.kernel)):
            filters = weight[at(offset)].reshape(groups, -1, weight.shape[1])  # (G, C / G, K / G)
            share = np.swapaxes(filters, 1, 2) @ seen  # (N, G, K / G, positions)
            y[offset_slices(offset, sizes, windows)] += share.reshape(images, self.num_output, *sizes)
        inside = [slice(p, size - p) for p, size in zip(windows.pad, padded, strict=True)]
        return y[at(inside)]

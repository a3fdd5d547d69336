"""MaskResize: bilinear resizing in which the first corner stays a corner (MNC's layer; not from BVLC Caffe).

Sources: daijifeng001/caffe-mnc, and BestSonny/SSTD with factors in place of sizes; field
``mask_resize_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array, Referenced, register
from vggrepro.layers.rules.corner_resize import CornerResize, first_corner_places


@register
@dataclass(frozen=True)
class MaskResize(CornerResize):
    """Bottom (N, C, H, W), top (N, C, H', W'): row i of the top lies at ``i * H / H'`` of the bottom, columns
    likewise. Beyond the last place there is its value, and more than half a place beyond it 0. A factor above
    0 replaces a size by that multiple of the bottom's, rounded down.

    The gradient is the fork's: of each place it sees no more than two rows and two columns of the top, those
    about the place itself, so that calculus has more where the top is larger.

    Another fork has a layer of this name with other places, so that a net without factors must name its fork.
    """

    type = "MaskResize"
    origin = "MNC, SSTD"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MaskResize:
        p = param.mask_resize_param
        if p.output_height < 1 or p.output_width < 1:
            raise NetError("mask_resize_param: output_height and output_width must be above 0")
        if not (p.HasField("factor_height") or p.HasField("factor_width")):
            raise UnsupportedError(
                "mask_resize_param without factor_height and factor_width: forks differ in where its places"
                " lie; name the fork: mnc"
            )
        factors = p.factor_height, p.factor_width
        sizes = p.output_height, p.output_width
        height, width = (0 if factor > 0 else size for size, factor in zip(sizes, factors, strict=True))
        return cls((height, width), factors)

    @staticmethod
    def shares(size: int, inner: int) -> Array:
        at = first_corner_places(size, inner)[:, None]
        distance = np.abs(at.clip(0, inner - 1) - np.arange(inner))
        weights: Array = np.where(at > inner - 0.5, 0, np.maximum(0, 1 - distance))
        return weights

    @classmethod
    def gradient_shares(cls, size: int, inner: int) -> Array:
        ratio = np.float32(inner) / np.float32(size)
        first = np.floor(np.arange(inner, dtype=np.float32) / ratio)
        index = np.arange(size)[:, None]
        seen: Array = cls.shares(size, inner) * ((index == first) | (index == first + 1))
        return seen

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        for axis in (2, 3):
            inner, size = x.shape[axis], shape[axis]
            at = first_corner_places(size, inner)
            beyond = (at > inner - 0.5).reshape((-1,) + (1,) * (3 - axis))
            at = at.clip(0, inner - 1)
            low = np.floor(at).astype(int)
            share = (at - low).reshape((-1,) + (1,) * (3 - axis))
            x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, inner - 1), axis) * share
            x = np.where(beyond, 0, x)
        return Referenced((x,))

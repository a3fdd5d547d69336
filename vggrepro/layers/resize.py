"""Resize: bilinear resizing in which the first corner stays a corner (layer of happynear and others; not from
BVLC Caffe).

Sources: happynear/caffe-windows and xiaolonw/caffe-3dnormal_joint_pose, field ``resize_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.errors import NetError
from vggrepro.layers.base import Array, Referenced, register
from vggrepro.layers.rules.corner_resize import CornerResize, first_corner_places


@register
@dataclass(frozen=True)
class Resize(CornerResize):
    """Bottom (N, C, H, W), top (N, C, H', W'): row i of the top lies at ``i * H / H'`` of the bottom, columns
    likewise. Beyond the last row and column there are zeros, so that values fade there.

    H' and W' are ``height`` and ``width``, or with ``is_pyramid_test`` the bottom's sizes times
    ``out_height_scale`` and ``out_width_scale``, rounded down.
    """

    type = "Resize"
    origin = "happynear, xiaolonw"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Resize:
        p = param.resize_param
        names = ("out_height_scale", "out_width_scale") if p.is_pyramid_test else ("height", "width")
        for name in names:
            if getattr(p, name) <= 0:
                raise NetError(f"resize_param: {name} must be given and above 0")
        if p.is_pyramid_test:
            return cls((0, 0), (p.out_height_scale, p.out_width_scale))
        return cls((p.height, p.width))

    @staticmethod
    def shares(size: int, inner: int) -> Array:
        distance = np.abs(first_corner_places(size, inner)[:, None] - np.arange(inner))
        shares: Array = np.maximum(0, 1 - distance)
        return shares

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        (shape,) = self.out_shapes([x.shape])
        for axis in (2, 3):
            at = first_corner_places(shape[axis], x.shape[axis])
            low = np.floor(at).astype(int)
            share = (at - low).reshape((-1,) + (1,) * (3 - axis))
            behind = np.pad(x, [(0, int(a == axis)) for a in range(4)])
            x = behind.take(low, axis) * (1 - share) + behind.take(low + 1, axis) * share
        return Referenced((x,))

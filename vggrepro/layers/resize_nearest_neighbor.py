"""ResizeNearestNeighbor: each value of the top one of the bottom, by one of three rules of which (Synopsys'
layer; not from BVLC Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, field ``resize_nearest_neighbor_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, register

RESIZED = {"NHWC": (1, 2), "NCHW": (2, 3)}
"""The axes that change, by ``data_format``."""


@register
@dataclass(frozen=True)
class ResizeNearestNeighbor(Layer[None]):
    """Bottom and top (N, C, H, W), or as ``data_format`` says, (N, H, W, C). Sizes are ``output_height`` and
    ``output_width``, or multiples of the bottom's, rounded down.

    Element i of an axis of n is that of the bottom's m at ``i * m / n``, rounded down; with ``align_corners``
    at ``i * (m - 1) / (n - 1)``, rounded; with ``half_pixel_centers`` at ``(i + 0.5) * m / n``, rounded down.
    All of it is computed as float.

    The defaults of the fork are not known: ``data_format``, and what says where places lie, must be given.
    The fork has no backward pass.
    """

    type = "ResizeNearestNeighbor"
    origin = "Synopsys"
    has_gradient = False
    moves_values = True

    layout: str
    align_corners: bool
    half_pixel: bool
    sizes: tuple[int, int]
    """0 where a factor tells it."""
    factors: tuple[float, float]

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ResizeNearestNeighbor:
        p = param.resize_nearest_neighbor_param
        if p.data_format not in RESIZED or not (p.half_pixel_centers or p.HasField("align_corners")):
            raise UnsupportedError(
                f"resize_nearest_neighbor_param: data_format must be one of {', '.join(RESIZED)}, and"
                " align_corners or half_pixel_centers be given"
            )
        if p.align_corners and p.half_pixel_centers:
            raise NetError("If half_pixel_centers is True, align_corners must be False.")
        for name in ("height", "width"):
            size, scale = f"output_{name}", f"scale_{name}"
            if getattr(p, size if p.HasField(size) else scale) <= 0:
                raise NetError(f"resize_nearest_neighbor_param: {size} or {scale} must be above 0")
        return cls(
            p.data_format,
            p.align_corners,
            p.half_pixel_centers,
            (p.output_height, p.output_width),
            (p.scale_height, p.scale_width),
        )

    @property
    def axes(self) -> tuple[int, ...]:
        return RESIZED[self.layout]

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset(self.axes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        top = list(bottoms[0])
        if len(top) != len(self.layout):
            raise ShapeError(f"bottom[0] must be {', '.join(self.layout)}, got shape {bottoms[0]}")
        for axis, size, factor in zip(self.axes, self.sizes, self.factors, strict=True):
            top[axis] = size or int(np.float32(top[axis]) * np.float32(factor))
        if min(top[axis] for axis in self.axes) < 1:
            raise ShapeError(f"resize_nearest_neighbor_param: nothing is left of shape {bottoms[0]}")
        return (tuple(top),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0]
        known = tuple(d if axis in self.axes else 1 for axis, d in enumerate(x.dims))
        (top,) = self.out_shapes([Value(x.name, known).shape])
        resized = x.name
        for axis in self.axes:
            places = self._places(Value(x.name, x.dims[axis : axis + 1]).shape[0], top[axis])
            resized = g.op("Gather", resized, g.ints(places), axis=axis)
        return Emitted((resized,), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        (shape,) = self.out_shapes([x.shape])
        for axis in self.axes:
            x = x.take(self._places(x.shape[axis], shape[axis]), axis)
        return Referenced((x,))

    def _places(self, m: int, n: int) -> list[int]:
        corners = self.align_corners and n > 1
        step = np.float32(m - 1) / np.float32(n - 1) if corners else np.float32(m) / np.float32(n)
        at = (np.arange(n, dtype=np.float32) + np.float32(self.half_pixel / 2)) * step
        whole = np.floor(at.astype(np.float64) + self.align_corners / 2)
        return [min(int(place), m - 1) for place in whole]

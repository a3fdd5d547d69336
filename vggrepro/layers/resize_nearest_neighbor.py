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
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.resized_axes import ResizedAxes


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

    resized: ResizedAxes
    align_corners: bool
    half_pixel: bool

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ResizeNearestNeighbor:
        p = param.resize_nearest_neighbor_param
        rules = ("align_corners", "half_pixel_centers")
        resized = ResizedAxes.read(p, "resize_nearest_neighbor_param", rules)
        return cls(resized, p.align_corners, p.half_pixel_centers)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset(self.resized.axes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return (self.resized.top(bottoms[0]),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0]
        top = x.name
        for axis, m, n in self.resized.changes(x.dims):
            top = g.op("Gather", top, g.ints(self._places(m, n)), axis=axis)
        return Emitted((top,), None)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        for axis, m, n in self.resized.changes(x.shape):
            x = x.take(self._places(m, n), axis)
        return Referenced((x,))

    def _places(self, m: int, n: int) -> list[int]:
        corners = self.align_corners and n > 1
        step = np.float32(m - 1) / np.float32(n - 1) if corners else np.float32(m) / np.float32(n)
        at = (np.arange(n, dtype=np.float32) + np.float32(self.half_pixel / 2)) * step
        whole = np.floor(at.astype(np.float64) + self.align_corners / 2)
        return [min(int(place), m - 1) for place in whole]

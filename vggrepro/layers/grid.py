"""Grid: where each place of a picture is (LiteFlowNet's layer; not from BVLC Caffe).

Source: twhui/LiteFlowNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Layer, Needed, Reach, Referenced, Shapes, register


@register
@dataclass(frozen=True)
class Grid(Layer[None]):
    """Bottom (N, C, H, W), of which only the shape counts. Top (N, 2, H, W): x, then y, counted from 0."""

    type = "Grid"
    origin = "LiteFlowNet"
    blind_bottoms = silent_bottoms = frozenset({0})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Grid:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) != 4:
            raise ShapeError(f"bottom[0] must have 4 axes, got shape {shape}")
        return ((shape[0], 2, *shape[2:]),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        height, width = Value("", bottoms[0].dims[2:]).shape
        y, x = np.mgrid[:height, :width]
        batch = g.op("Shape", bottoms[0].name, start=0, end=1)
        sizes = g.op("Concat", batch, g.ints([2, height, width]), axis=0)
        return Emitted((g.op("Expand", g.const(np.stack([x, y])[None]), sizes),), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return Gradients((None,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        n, _, height, width = bottoms[0].shape
        top = np.zeros((n, 2, height, width))
        top[:, 0] = np.arange(width)
        top[:, 1] = np.arange(height)[:, None]
        return Referenced((top,))

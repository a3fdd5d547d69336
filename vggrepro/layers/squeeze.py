"""Squeeze: axes of size 1 left out (Synopsys' Squeeze layer; not from BVLC Caffe).

Source: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, field ``squeeze_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.axes import canonical_axis


@register
@dataclass(frozen=True)
class Squeeze(Layer[tuple[int, ...]]):
    """Bottom of any shape; the top lacks the axes that ``axis`` names, or all of size 1 where it names
    none."""

    type = "Squeeze"
    origin = "Synopsys"

    named: tuple[int, ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Squeeze:
        return cls(tuple(param.squeeze_param.axis))

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        if not self.named:
            return tuple(axis for axis, size in enumerate(shape) if size == 1)
        axes = sorted({canonical_axis(axis, shape, "squeeze_param") for axis in self.named})
        if any(shape[axis] != 1 for axis in axes):
            raise ShapeError(f"Can't remove axis that is not shape 1! (axes {axes} of shape {shape})")
        return tuple(axes)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        axes = self._axes(shape)
        return (tuple(size for axis, size in enumerate(shape) if axis not in axes),)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """Which axes go depends on their sizes."""
        return frozenset(self._axes(bottoms[0]) if self.named else range(len(bottoms[0])))

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[int, ...]]:
        (x,) = bottoms
        axes = self._axes(tuple(1 if size is None else size for size in x.dims) if self.named else x.shape)
        top = g.op("Squeeze", x.name, g.ints(axes)) if axes else g.op("Identity", x.name)
        return Emitted((top,), axes)

    def grad(
        self, g: GraphBuilder, saved: tuple[int, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        return Gradients((g.op("Unsqueeze", dy, g.ints(saved)) if saved else dy,))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return Referenced((np.squeeze(bottoms[0], self._axes(bottoms[0].shape)),))

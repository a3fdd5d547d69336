"""Accum: blobs resized to one height and width, and joined along the channels (FlowNet 2's layer; not from
BVLC Caffe).

Sources: lmb-freiburg/flownet2, field ``accum_param``; OpenCV, which knows the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    at_least,
    register,
)
from vggrepro.layers.rules.resizing import corner_weights, resized, without_transposes


@register
@dataclass(frozen=True)
class Accum(Layer[tuple[Value, ...]]):
    """Bottoms (N, C_i, H_i, W_i), top (N, sum of C_i, H, W): each bottom resized linearly, its corners
    staying corners.

    H and W are the largest of the bottoms. ``size``, or the next multiples of ``divisor``, replace them where
    both are larger. With ``last_tells`` the last bottom tells them by its shape, and gives no channels.

    DEVIATION: a top of height or width 1, for which FlowNet divides 0 by 0, has the first row or column.
    """

    type = "Accum"
    origin = "FlowNet"
    bottoms = at_least(1)

    size: tuple[int, int] = (0, 0)
    divisor: int | None = None
    last_tells: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Accum:
        p = param.accum_param
        if p.have_reference and len(param.bottom) < 2:
            raise NetError("Need at least two bottom blobs (one as reference)")
        if p.HasField("size_divisible_by") and not p.size_divisible_by:
            raise NetError("accum_param: size_divisible_by must be above 0")
        divisor = p.size_divisible_by if p.HasField("size_divisible_by") else None
        return cls((p.top_height, p.top_width), divisor, p.have_reference)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        for index, shape in enumerate(bottoms):
            if len(shape) != 4 or min(shape) < 1:
                raise ShapeError(f"bottom[{index}] must be (N, C, H, W), got shape {shape}")
        joined = self._joined(bottoms)
        if any(shape[0] != joined[0][0] for shape in joined):
            raise ShapeError(
                f"All accumulated layers must have same number of images (num_): {tuple(joined)}"
            )
        return ((joined[0][0], sum(shape[1] for shape in joined), *self._top_size(bottoms)),)

    def _joined(self, bottoms: Sequence[Any]) -> Sequence[Any]:
        """The bottoms whose channels the top has."""
        return bottoms[:-1] if self.last_tells else bottoms

    def _top_size(self, bottoms: Shapes) -> Shape:
        if self.last_tells:
            return bottoms[-1][2:]
        largest = tuple(max(shape[axis] for shape in bottoms) for axis in (2, 3))
        if self.divisor is None:
            wanted: Shape = self.size
        else:
            wanted = tuple(-(-size // self.divisor) * self.divisor for size in largest)
        return wanted if wanted[0] > largest[0] and wanted[1] > largest[1] else largest

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[tuple[Value, ...]]:
        size = self._top_size([Value(b.name, (1, 1, *b.dims[2:])).shape for b in bottoms])
        parts = [self._resized(g, bottom, size) for bottom in self._joined(bottoms)]
        top = g.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        return Emitted((top,), tuple(bottoms))

    def _resized(self, g: GraphBuilder, bottom: Value, size: Shape) -> str:
        if bottom.dims[2:] == size:
            return bottom.name
        return resized(g, without_transposes(g, bottom), g.ints(size))

    def grad(
        self, g: GraphBuilder, saved: tuple[Value, ...], d_tops: Sequence[str | None], needed: Needed
    ) -> Gradients:
        dy = d_tops[0]
        if dy is None:
            return Gradients((None,) * len(saved))
        size = self._top_size([b.shape for b in saved])
        gradients: list[str | None] = []
        start = 0
        for bottom, wanted in zip(self._joined(saved), needed.bottoms, strict=False):
            stop = start + bottom.shape[1]
            part = g.op("Slice", dy, g.ints([start]), g.ints([stop]), g.ints([1])) if wanted else None
            gradients.append(part and _spread(g, part, bottom.shape[2:], size))
            start = stop
        return Gradients((*gradients, *(None for _ in saved[len(gradients) :])))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        size = self._top_size([b.shape for b in bottoms])
        parts = []
        for x in self._joined(bottoms):
            rows, columns = map(corner_weights, size, x.shape[2:])
            parts.append(rows @ x @ columns.T)
        return Referenced((np.concatenate(parts, axis=1),))


def _spread(g: GraphBuilder, part: str, inner: Shape, size: Shape) -> str:
    """The gradient of a bottom of size ``inner``, from that of its part of the top."""
    if inner == size:
        return part
    rows, columns = map(corner_weights, size, inner)
    return g.op("MatMul", g.const(rows.T), g.op("MatMul", part, g.const(columns)))

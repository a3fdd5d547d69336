"""SPP: pooling into 1 x 1, 2 x 2, 4 x 4, ... windows, one beside the other (Caffe's SPP layer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import Dims, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
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
from vggrepro.layers.pooling import Pooling, PoolingSaved


class _Saved(NamedTuple):
    x: Value
    pooled: tuple[PoolingSaved, ...]
    """What the pooling of each level saved."""


@register
@dataclass(frozen=True)
class SPP(Layer[_Saved]):
    """Bottom (N, C, H, W), top (N, sum of the levels' sizes). A pyramid of one level is that pooling
    alone, with its four axes."""

    type = "SPP"

    pyramid_height: int
    method: str = "MAX"
    """MAX or AVE."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SPP:
        p = param.spp_param
        method = p.PoolMethod.Name(p.pool)
        if method == "STOCHASTIC":
            raise UnsupportedError("spp_param: pool STOCHASTIC is not implemented")
        if p.pyramid_height < 1:
            raise NetError("spp_param: pyramid_height must be at least 1")
        return cls(p.pyramid_height, method)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        """Raises ShapeError as the poolings do: a level with more windows than rows gets too much
        padding."""
        (shape,) = bottoms
        if len(shape) != 4:
            raise ShapeError(
                f"Check failed: 4 == bottom[0]->num_axes() (4 vs. {len(shape)})"
                " Input must have 4 axes, corresponding to (num, channels, height, width)"
            )
        if min(shape[2:]) < 1:
            raise ShapeError("Input dimensions cannot be zero.")
        if self.pyramid_height == 1:
            return self._poolings(shape)[0].out_shapes([shape])
        return ((shape[0], sum(prod(level[1:]) for level in self._levels(shape))),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _poolings(self, dims: Dims) -> list[Pooling]:
        """Windows of size / bins, rounded up, side by side; what is missing at the end is padding, half
        of it in front."""
        sizes = Value("bottom", dims[2:]).shape
        poolings = []
        for level in range(self.pyramid_height):
            bins = 2**level
            kernels = [-(-size // bins) for size in sizes]
            pads = [(kernel * bins - size + 1) // 2 for kernel, size in zip(kernels, sizes, strict=True)]
            (kernel_h, kernel_w), (pad_h, pad_w) = kernels, pads
            kernel, pad = (kernel_h, kernel_w), (pad_h, pad_w)
            try:
                poolings.append(Pooling.checked(self.method, kernel, kernel, pad))
            except NetError as error:
                raise ShapeError(f"level {level} of the pyramid over {sizes}: {error}") from error
        return poolings

    def _levels(self, shape: Shape) -> list[Shape]:
        return [pooling.out_shapes([shape])[0] for pooling in self._poolings(shape)]

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        poolings = self._poolings(x.dims)
        pooled = [pooling.emit(g, bottoms, (), ()) for pooling in poolings]
        saved = _Saved(x, tuple(p.saved for p in pooled))
        if self.pyramid_height == 1:
            return Emitted(pooled[0].tops, saved)
        flat = [g.op("Flatten", p.tops[0]) for p in pooled]
        return Emitted((g.op("Concat", *flat, axis=1),), saved)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The sum of the poolings' gradients."""
        x, pooled = saved
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,))
        poolings = self._poolings(x.shape)
        if self.pyramid_height == 1:
            return poolings[0].grad(g, pooled[0], d_tops, needed)
        levels = self._levels(x.shape)
        widths = g.ints([prod(level[1:]) for level in levels])
        parts = g.ops("Split", dy, widths, outputs=len(levels), axis=1)
        d_bottoms: list[str | None] = []
        for pooling, level_saved, level, part in zip(poolings, pooled, levels, parts, strict=True):
            d_level = g.op("Reshape", part, g.ints(level))
            d_bottoms.extend(pooling.grad(g, level_saved, [d_level], needed).bottoms)
        return Gradients((g.sum_in_order([d for d in d_bottoms if d is not None]),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        tops = [pooling.reference(bottoms, (), ()).tops for pooling in self._poolings(x.shape)]
        if self.pyramid_height == 1:
            return Referenced(tops[0])
        return Referenced((np.concatenate([top[0].reshape(len(x), -1) for top in tops], axis=1),))

"""PixelShuffle, Tiling: channels become neighbouring places (layers of forks for super-resolution and for
detection; not from BVLC Caffe).

Sources: of PixelShuffle two public layers, with ``pixel_shuffle_param`` and with ``pixelshuffle_param``.
"Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
equation 4. Of Tiling ``tiling_layer.cpp`` of semisight/caffe and cjld/mycaffe.
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
    register,
)


@register
@dataclass(frozen=True)
class PixelShuffle(Layer[Value]):
    """Bottom (N, C, H, W), top (N, C / r^2, H * r, W * r) for ``upscale_factor`` r: channel ``c * r^2 + i * r
    + j`` goes to row i and column j of the blocks of channel c."""

    type = "PixelShuffle"
    origin = "ESPCN forks"
    moves_values = True

    factor: int

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PixelShuffle:
        given = (
            param.pixelshuffle_param if param.HasField("pixelshuffle_param") else param.pixel_shuffle_param
        )
        if given.upscale_factor < 1:
            raise NetError("upscale factor must be specified for pixel shuffle layer!")
        return cls(given.upscale_factor)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        r = self.factor
        if len(shape) != 4 or shape[1] % r**2:
            raise ShapeError(f"bottom[0] must be (N, C, H, W) with C divisible by {r**2}, got shape {shape}")
        n, c, h, w = shape
        return ((n, c // r**2, h * r, w * r),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Value]:
        x = bottoms[0]
        return Emitted((g.op("DepthToSpace", x.name, blocksize=self.factor, mode="CRD"),), x)

    def grad(self, g: GraphBuilder, saved: Value, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,))
        n, c, h, w = saved.shape
        r = self.factor
        blocks = g.op("Reshape", d_tops[0], g.ints([n, c // r**2, h, r, w, r]))
        moved = g.op("Transpose", blocks, perm=[0, 1, 3, 5, 2, 4])
        return Gradients((g.op("Reshape", moved, g.ints(saved.shape)),))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, r = bottoms[0], self.factor
        (shape,) = self.out_shapes([x.shape])
        top = np.empty(shape)
        for channel in range(x.shape[1]):
            c, place = divmod(channel, r * r)
            top[:, c, place // r :: r, place % r :: r] = x[:, channel]
        return Referenced((top,))


@register
@dataclass(frozen=True)
class Tiling(PixelShuffle):
    """The same, by ``tile_dim`` (a layer of nets that detect in driving, of "An Empirical Evaluation of Deep
    Learning on Highway Driving")."""

    type = "Tiling"
    origin = "driving forks"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Tiling:
        size = param.tiling_param.tile_dim
        if size < 1:
            raise NetError("tile_dim must be specified.")
        return cls(size)

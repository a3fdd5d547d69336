"""Warp: an image seen at given places (LiteFlowNet's layer; not from BVLC Caffe).

Source: twhui/LiteFlowNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    exactly,
    register,
)
from vggrepro.layers.rules.image_points import (
    ImagePoints,
    emit_image_gradient,
    emit_point_gradient,
    emit_points,
)


class _Saved(NamedTuple):
    near: str
    """Whether a place is so near to the image that it is seen there, bool (N, H', W', 1)."""
    points: ImagePoints
    """In images with a margin of zeros."""


@register
@dataclass(frozen=True)
class ImageWarp(Layer[_Saved]):
    """Bottoms: images (N, C, H, W) and places (N, 2, H', W'), x and y in pixels. Top (N, C, H', W'): the
    values of the image there, interpolated linearly between zeros outside.

    DEVIATION: on a GPU the fork adds up the image's gradient without a lock, so that points that share a
    pixel may get lost. Here all are added, as in its CPU code.
    """

    type = "Warp"
    origin = "LiteFlowNet"
    bottoms = exactly(2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ImageWarp:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        image, places = bottoms
        if len(image) != 4 or len(places) != 4 or tuple(places[:2]) != (image[0], 2):
            raise ShapeError(
                f"Warp needs images (N, C, H, W) and places (N, 2, H', W'), got shapes {image} and {places}"
            )
        return ((*image[:2], *places[2:]),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        image, places = bottoms
        n, c, h, w = image.shape
        split = g.ops(
            "Split", g.op("Transpose", places.name, perm=[0, 2, 3, 1]), outputs=2, axis=3, num_outputs=2
        )
        padded = Value(g.op("Pad", image.name, g.ints([0, 0, 1, 1, 0, 0, 2, 2])), (n, c, h + 3, w + 3))
        (x, near_x), (y, near_y) = (_in_margin(g, at, size) for at, size in zip(split, (w, h), strict=True))
        seen, points = emit_points(g, padded, x, y)
        top = g.op("Transpose", seen, perm=[0, 3, 1, 2])
        return Emitted((top,), _Saved(g.op("And", near_x, near_y), points))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None, None))
        dy = g.op("Transpose", d_tops[0], perm=[0, 2, 3, 1])
        d_image = d_places = None
        if needed.bottoms[0]:
            whole = emit_image_gradient(g, saved.points, dy)
            d_image = g.op("Slice", whole, g.ints([1, 1]), g.ints([-2, -2]), g.ints([2, 3]))
        if needed.bottoms[1]:
            d_places = emit_point_gradient(g, saved.points, g.op("Where", saved.near, dy, g.const(0)))
        return Gradients((d_image, d_places))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        image, places = bottoms
        _, _, h, w = image.shape
        batch = np.arange(len(image))[:, None, None]
        images = np.moveaxis(image, 1, 3)
        top = np.zeros((*places[:, 0].shape, image.shape[1]))
        left, above = np.floor(places[:, 0]), np.floor(places[:, 1])
        for row, column in np.ndindex(2, 2):
            y, x = above + row, left + column
            weight = (1 - np.abs(places[:, 1] - y)) * (1 - np.abs(places[:, 0] - x))
            inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
            at = [np.where(inside, place, 0).astype(int) for place in (y, x)]
            top += images[batch, at[0], at[1]] * (weight * inside)[..., None]
        return Referenced((np.moveaxis(top, 3, 1),))


def _in_margin(g: GraphBuilder, at: str, size: int) -> tuple[str, str]:
    """Places of an axis in images with one zero before and two behind; those farther out end there. And which
    are seen in the image, or could be with the smallest step."""
    near = g.op("And", g.op("GreaterOrEqual", at, g.const(-1)), g.op("Less", at, g.const(size)))
    return g.op("Add", g.op("Clip", at, g.const(-1), g.const(size)), g.const(1)), near

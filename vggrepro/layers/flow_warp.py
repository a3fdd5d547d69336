"""FlowWarp: an image seen through a flow (FlowNet 2's layer; not from BVLC Caffe).

Source: lmb-freiburg/flownet2, field ``flow_warp_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import nan
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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


class _Corner(NamedTuple):
    """One of the four places around a point."""

    place: str
    """Its number among all of the batch, int64 (N, H, W)."""
    values: str
    """(N, H, W, C)."""
    weight: str
    """(N, H, W, 1)."""


class _Saved(NamedTuple):
    shape: Shape
    inside: str
    """Bool (N, H, W, 1)."""
    corners: tuple[_Corner, ...]
    """Left and right of the row above, then of the row below."""
    below: str
    """How far the row below is from the point, (N, H, W, 1)."""
    right: str


@register
@dataclass(frozen=True)
class FlowWarp(Layer[_Saved]):
    """Bottoms: images (N, C, H, W) and flows (N, 2, H, W), in x and y. Top (N, C, H, W): at each place the
    value of the image where the flow leads to, interpolated linearly; ``fill`` where that is outside.
    """

    type = "FlowWarp"
    origin = "FlowNet"
    bottoms = exactly(2)

    fill: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FlowWarp:
        p = param.flow_warp_param
        return cls(0.0 if p.fill_value == p.ZERO else nan)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        image, flow = bottoms
        if len(image) != 4 or tuple(flow) != (image[0], 2, *image[2:]):
            raise ShapeError(
                f"FlowWarp needs images (N, C, H, W) and flows (N, 2, H, W), got shapes {image} and {flow}"
            )
        return (tuple(image),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        image, flow = bottoms
        shape = image.shape
        n, c, h, w = shape
        across, down = g.ops(
            "Split", g.op("Transpose", flow.name, perm=[0, 2, 3, 1]), outputs=2, axis=3, num_outputs=2
        )
        x = g.op("Add", across, g.const(np.arange(w).reshape(1, 1, w, 1)))
        y = g.op("Add", down, g.const(np.arange(h).reshape(1, h, 1, 1)))
        inside = g.op("And", _within(g, x, w), _within(g, y, h))
        left, right = _neighbours(g, x, w)
        above, below = _neighbours(g, y, h)
        alpha, beta = g.op("Sub", x, left), g.op("Sub", y, above)
        rows = g.op("Reshape", g.op("Transpose", image.name, perm=[0, 2, 3, 1]), g.ints([-1, c]))
        first = g.op("Reshape", g.ints([i * h * w for i in range(n)]), g.ints([n, 1, 1]))
        corners = []
        for row, vertical in ((above, g.op("Sub", g.const(1), beta)), (below, beta)):
            for column, horizontal in ((left, g.op("Sub", g.const(1), alpha)), (right, alpha)):
                place = g.op("Add", g.op("Mul", _whole(g, row), g.ints(w)), _whole(g, column))
                index = g.op("Add", place, first)
                weight = g.op("Mul", vertical, horizontal)
                corners.append(_Corner(index, g.op("Gather", rows, index, axis=0), weight))
        warped = _sum(g, [g.op("Mul", corner.values, corner.weight) for corner in corners])
        top = g.op("Transpose", g.op("Where", inside, warped, g.const(self.fill)), perm=[0, 3, 1, 2])
        distances = g.op("Sub", below, y), g.op("Sub", right, x)
        return Emitted((top,), _Saved(shape, inside, tuple(corners), *distances))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None, None))
        dy = g.op("Transpose", d_tops[0], perm=[0, 2, 3, 1])
        dy = g.op("Where", saved.inside, dy, g.const(0))
        d_image = self._image_gradient(g, saved, dy) if needed.bottoms[0] else None
        return Gradients((d_image, self._flow_gradient(g, saved, dy) if needed.bottoms[1] else None))

    def _image_gradient(self, g: GraphBuilder, saved: _Saved, dy: str) -> str:
        """Each place gets the weighted gradients of the points that it is a corner of."""
        n, c, h, w = saved.shape
        total = g.op("Expand", g.const(0), g.ints([n * h * w, c]))
        for corner in saved.corners:
            update = g.op("Reshape", g.op("Mul", dy, corner.weight), g.ints([-1, c]))
            index = g.op("Reshape", corner.place, g.ints([-1, 1]))
            total = g.op("ScatterND", total, index, update, reduction="add")
        return g.op("Transpose", g.op("Reshape", total, g.ints([n, h, w, c])), perm=[0, 3, 1, 2])

    def _flow_gradient(self, g: GraphBuilder, saved: _Saved, dy: str) -> str:
        """The slopes between corners, by the distances to the row below and to the column on the right."""
        above_left, above_right, below_left, below_right = (corner.values for corner in saved.corners)
        slopes = (
            (saved.below, (above_right, above_left), (below_right, below_left)),
            (saved.right, (below_left, above_left), (below_right, above_right)),
        )
        gradients = []
        for distance, near, far in slopes:
            rest = g.op("Sub", g.const(1), distance)
            slope = _sum(g, [g.op("Mul", distance, g.op("Sub", *near)), g.op("Mul", rest, g.op("Sub", *far))])
            gradients.append(g.op("ReduceSum", g.op("Mul", dy, slope), g.ints([3]), keepdims=1))
        return g.op("Transpose", g.op("Concat", *gradients, axis=3), perm=[0, 3, 1, 2])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        image, flow = bottoms
        _, _, h, w = image.shape
        x, y = flow[:, 0] + np.arange(w), flow[:, 1] + np.arange(h)[:, None]
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        batch = np.arange(len(image))[:, None, None]
        images = np.moveaxis(image, 1, 3)
        warped = np.zeros((*inside.shape, image.shape[1]))
        for row, vertical in _shares(y, h):
            for column, horizontal in _shares(x, w):
                warped += images[batch, row, column] * (vertical * horizontal)[..., None]
        return Referenced((np.moveaxis(np.where(inside[..., None], warped, self.fill), 3, 1),))


def _shares(at: Array, size: int) -> list[tuple[npt.NDArray[np.int64], Array]]:
    """The places before and behind points of an axis, and their shares in the points' values."""
    before = np.floor(at).astype(np.int64)
    return [(before, 1 - (at - before)), (np.minimum(before + 1, size - 1), at - before)]


def _within(g: GraphBuilder, at: str, size: int) -> str:
    return g.op("And", g.op("GreaterOrEqual", at, g.const(0)), g.op("Less", at, g.const(size)))


def _neighbours(g: GraphBuilder, at: str, size: int) -> tuple[str, str]:
    """The places before and behind points of an axis, float32; inside of it for points outside too."""
    last = g.const(size - 1)
    before = g.op("Floor", g.op("Min", g.op("Max", at, g.const(0)), last))
    return before, g.op("Min", g.op("Add", before, g.const(1)), last)


def _whole(g: GraphBuilder, places: str) -> str:
    """Places (N, H, W, 1) as int64 (N, H, W)."""
    return g.op("Cast", g.op("Squeeze", places, g.ints([3])), to=7)


def _sum(g: GraphBuilder, terms: Sequence[str]) -> str:
    return reduce(lambda total, term: g.op("Add", total, term), terms)

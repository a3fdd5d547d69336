"""SpatialTransformer: an image sampled at places that an affine map gives (a layer of several forks; not from
BVLC Caffe).

Source: daerduoCarey/SpatialTransformerLayer, field ``st_param``. "Spatial Transformer Networks", section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
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
    exactly,
    register,
)


class _Saved(NamedTuple):
    image: Value
    theta: Value
    at: tuple[str, str]
    """Rows and columns of the places, (N, 1, P) each."""


@register
@dataclass(frozen=True)
class SpatialTransformer(Layer[_Saved]):
    """Bottoms: images (N, C, H, W) and theta (N, ...), the six numbers of the maps that are not given as
    ``theta_1_1`` to ``theta_2_3``, row by row. Top (N, C, output_H, output_W), by default of the image's
    size.

    The place (i, j) of the top comes from row ``(t11 y + t12 x + t13 + 1) / 2 * H`` and column ``(t21 y + t22
    x + t23 + 1) / 2 * W`` of the image, with ``y = 2 i / output_H - 1`` and ``x = 2 j / output_W - 1``,
    between four values; values out of the image are 0. Without ``to_compute_dU`` images get no gradient.
    Where a row or column is whole, theta's gradient takes in the value there alone, with the sign of one
    before it, as in the fork.

    Other forks have other scales; ``to_compute_dU`` makes it this one's, or the fork's name does.
    """

    type = "SpatialTransformer"
    origin = "daerduoCarey"
    bottoms = exactly(2)

    given: tuple[float | None, ...] = (None,) * 6
    size: tuple[int | None, int | None] = (None, None)
    to_image: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SpatialTransformer:
        p = param.st_param
        if (p.transform_type, p.sampler_type) != ("affine", "bilinear"):
            raise UnsupportedError(
                "st_param: only transform_type 'affine' and sampler_type 'bilinear' are implemented,"
                f" got {p.transform_type!r} and {p.sampler_type!r}"
            )
        if not p.HasField("to_compute_dU"):
            raise UnsupportedError(
                "st_param: forks differ in the scale of places: to_compute_dU makes it daerduoCarey's, or"
                " name the fork: daerduocarey"
            )
        names = [f"theta_{row}_{column}" for row in (1, 2) for column in (1, 2, 3)]
        given = tuple(getattr(p, name) if p.HasField(name) else None for name in names)
        size = tuple(getattr(p, name) if p.HasField(name) else None for name in ("output_H", "output_W"))
        if any(s is not None and s < 1 for s in size):
            raise NetError(f"st_param: output_H and output_W must be above 0, got {size}")
        return cls(given, (size[0], size[1]), p.to_compute_dU)

    @property
    def _free(self) -> int:
        return self.given.count(None)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        image, theta = bottoms
        if len(image) != 4 or theta[:1] != image[:1] or prod(theta[1:]) != self._free:
            raise ShapeError(
                f"bottoms must be (N, C, H, W) and theta ({image[0] if image else 'N'}, {self._free}),"
                f" got shapes {image} and {theta}"
            )
        return ((*image[:2], *self._size(image)),)

    def _size(self, image: Shape) -> tuple[int, int]:
        return self.size[0] or image[2], self.size[1] or image[3]

    def _grid(self, image: Shape) -> Array:
        """y, x and 1 of each place of the top, (3, P)."""
        rows, columns = self._size(image)
        y, x = np.indices((rows, columns)).reshape(2, -1)
        return np.stack([2 * y / rows - 1, 2 * x / columns - 1, np.ones(rows * columns)])

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        image, theta = bottoms
        n, c, height, width = image.shape
        rows, columns = self._size(image.shape)
        full = self._full(g, theta, n)  # (N, 2, 3)
        places = g.op("Add", g.op("MatMul", full, g.const(self._grid(image.shape))), g.const(1))
        scaled = g.op("Mul", places, g.const([[height / 2], [width / 2]]))  # (N, 2, P)
        down, across = (g.op("Gather", scaled, g.ints([axis]), axis=1) for axis in (0, 1))
        saved = _Saved(image, theta, (down, across))
        parts = []
        for place, weights, _ in self._corners(g, saved):
            values = self._values(g, saved, place)
            parts.append(g.op("Mul", values, g.op("Mul", *weights)))
        top = g.op("Reshape", g.sum_in_order(parts), g.ints([n, c, rows, columns]))
        return Emitted((top,), saved)

    def _full(self, g: GraphBuilder, theta: Value, number: int) -> str:
        """The maps (N, 2, 3), of what is given and what theta says."""
        flat = g.op("Reshape", theta.name, g.ints([number, self._free])) if self._free else ""
        columns, taken = [], 0
        for value in self.given:
            if value is None:
                columns.append(g.op("Gather", flat, g.ints([taken]), axis=1))
                taken += 1
            else:
                columns.append(g.const(np.full((number, 1), value)))
        return g.op("Reshape", g.op("Concat", *columns, axis=1), g.ints([number, 2, 3]))

    def _corners(self, g: GraphBuilder, saved: _Saved) -> list[tuple[str, tuple[str, str], tuple[str, str]]]:
        """Of the four values around each place: where they are in a plane, int64 (N, 1, P); the weights along
        both axes, 0 out of the image; and how these change with row and column."""
        _, _, height, width = saved.image.shape
        axes = []
        for at, size in zip(saved.at, (height, width), strict=True):
            low = g.op("Floor", at)
            share = g.op("Sub", at, low)
            whole = g.op("Equal", share, g.const(0))
            sides = (
                (low, g.op("Sub", g.const(1), share), g.op("Where", whole, g.const(1), g.const(-1))),
                (g.op("Add", low, g.const(1)), share, g.op("Where", whole, g.const(0), g.const(1))),
            )
            axes.append([self._inside(g, *side, size) for side in sides])
        corners = []
        for down, down_weight, down_slope in axes[0]:
            for across, weight, slope in axes[1]:
                place = g.op("Add", g.op("Mul", down, g.ints(width)), across)
                slopes = (g.op("Mul", down_slope, weight), g.op("Mul", down_weight, slope))
                corners.append((place, (down_weight, weight), slopes))
        return corners

    @staticmethod
    def _inside(g: GraphBuilder, at: str, weight: str, slope: str, size: int) -> tuple[str, str, str]:
        inside = g.op("And", g.op("GreaterOrEqual", at, g.const(0)), g.op("Less", at, g.const(size)))
        mask = g.op("Cast", inside, to=FLOAT)
        place = g.op("Cast", g.op("Clip", at, g.const(0), g.const(size - 1)), to=INT64)
        return place, g.op("Mul", weight, mask), g.op("Mul", slope, mask)

    @staticmethod
    def _everywhere(g: GraphBuilder, saved: _Saved, place: str) -> str:
        """Places for each channel, (N, C, P)."""
        return g.op("Expand", place, g.ints([1, saved.image.shape[1], 1]))

    def _values(self, g: GraphBuilder, saved: _Saved, place: str) -> str:
        n, c = saved.image.shape[:2]
        planes = g.op("Reshape", saved.image.name, g.ints([n, c, -1]))
        return g.op("GatherElements", planes, self._everywhere(g, saved, place), axis=2)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        if d_tops[0] is None:
            return Gradients((None, None))
        n, c, height, width = saved.image.shape
        dy = g.op("Reshape", d_tops[0], g.ints([n, c, -1]))
        corners = self._corners(g, saved)
        d_image = d_theta = None
        if needed.bottoms[0] and self.to_image:
            d_image = g.const(np.zeros((n, c, height * width)))
            for place, weights, _ in corners:
                d = g.op("Mul", dy, g.op("Mul", *weights))
                where = self._everywhere(g, saved, place)
                d_image = g.op("ScatterElements", d_image, where, d, axis=2, reduction="add")
            d_image = g.op("Reshape", d_image, g.ints(saved.image.shape))
        if needed.bottoms[1] and self._free:
            d_theta = self._theta_gradient(g, saved, dy, corners)
        return Gradients((d_image, d_theta))

    def _theta_gradient(
        self,
        g: GraphBuilder,
        saved: _Saved,
        dy: str,
        corners: Sequence[tuple[str, tuple[str, str], tuple[str, str]]],
    ) -> str:
        terms: tuple[list[str], list[str]] = ([], [])
        for place, _, slopes in corners:
            own = g.op("Mul", dy, self._values(g, saved, place))
            total = g.op("ReduceSum", own, g.ints([1]))  # (N, 1, P)
            for axis in (0, 1):
                terms[axis].append(g.op("Mul", total, slopes[axis]))
        along = g.op("Concat", *(g.sum_in_order(t) for t in terms), axis=1)  # (N, 2, P)
        n, _, height, width = saved.image.shape
        scaled = g.op("Mul", along, g.const([[height / 2], [width / 2]]))
        full = g.op(
            "Reshape", g.op("MatMul", scaled, g.const(self._grid(saved.image.shape).T)), g.ints([n, 6])
        )
        free = [index for index, value in enumerate(self.given) if value is None]
        return g.op("Reshape", g.op("Gather", full, g.ints(free), axis=1), g.ints(saved.theta.shape))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        image, theta = bottoms
        n, c, height, width = image.shape
        full = np.empty((n, 6))
        columns = iter(theta.reshape(n, -1).T)
        for index, value in enumerate(self.given):
            full[:, index] = next(columns) if value is None else value
        at = (full.reshape(n, 2, 3) @ self._grid(image.shape) + 1) / 2 * np.array([[height], [width]])
        top = np.zeros((n, c, at.shape[2]))
        padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
        for k, (rows, across) in enumerate(at):
            y, x = (np.floor(a).astype(int) for a in (rows, across))
            for i in (0, 1):
                for j in (0, 1):
                    weight = (1 - abs(rows - y - i)) * (1 - abs(across - x - j))
                    row, column = (y + i + 1).clip(0, height + 1), (x + j + 1).clip(0, width + 1)
                    top[k] += weight * padded[k][:, row, column]
        return Referenced((top.reshape(n, c, *self._size(image.shape)),))

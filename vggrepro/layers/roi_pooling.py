"""ROIPooling: the maxima of a grid over each region of interest (Fast R-CNN's layer; not from BVLC Caffe).

Sources: rbgirshick/caffe-fast-rcnn, field ``roi_pooling_param``; zhaoweicai/mscnn for its ``pad_ratio``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import INT64, GraphBuilder, Shape, Value
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
from vggrepro.layers.rules.region_maxima import emit_maxima_gradient
from vggrepro.layers.rules.regions import cell_ends, pooled_size, region_rows, rounded

Span = tuple[int, int]


class _Saved(NamedTuple):
    features: Value
    rows: str
    """The regions with their surroundings, (R, 5)."""
    top: str


@register
@dataclass(frozen=True)
class ROIPooling(Layer[_Saved]):
    """Bottoms: features (N, C, H, W) and regions (R, 5): index of the image, x1, y1, x2, y2 in pixels of the
    input, last ones included. Top (R, C, pooled_h, pooled_w).

    The corners times ``spatial_scale``, rounded to whole places, bound the region; neighbouring cells may
    share a row or column. A cell outside of the features gives 0. Before, a region grows on each side by
    ``pad_ratio`` of its width and height.

    Of equal maxima the first one, row by row, gets the gradient; regions get none.

    MaxRoiPool has no CUDA kernel: a graph for CUDA looks the maxima up in a table.
    """

    type = "ROIPooling"
    origin = "Fast R-CNN"
    bottoms = exactly(2)
    blind_bottoms = silent_bottoms = frozenset({1})

    pooled: tuple[int, int]
    spatial_scale: float = 1.0
    pad_ratio: float = 0.0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ROIPooling:
        p = param.roi_pooling_param
        return cls(pooled_size(p), p.spatial_scale, p.pad_ratio)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        features, regions = bottoms
        if len(features) != 4:
            raise ShapeError(f"bottom[0] must have 4 axes, got shape {features}")
        if len(regions) < 2 or prod(regions[1:]) != 5:
            raise ShapeError(f"ROI layer C x W x H must be == 5, got shape {regions}")
        return ((regions[0], features[1], *self.pooled),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        features, regions = bottoms
        rows = self._grown(g, region_rows(g, regions))
        if g.on_cuda:
            top = self._looked_up(g, features, rows)
        else:
            top = g.op(
                "MaxRoiPool", features.name, rows, pooled_shape=self.pooled, spatial_scale=self.spatial_scale
            )
        return Emitted((top,), _Saved(features, rows, top))

    def _grown(self, g: GraphBuilder, rows: str) -> str:
        """The regions with their surroundings."""
        if self.pad_ratio == 0:
            return rows
        image, first, last = g.ops("Split", rows, g.ints([1, 2, 2]), outputs=3, axis=1)
        side = g.op("Add", g.op("Sub", last, first), g.const(1))
        pad = g.op("Mul", side, g.const(self.pad_ratio))
        return g.op("Concat", image, g.op("Sub", first, pad), g.op("Add", last, pad), axis=1)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        (dy,) = d_tops
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, None))
        features, rows, top = saved
        return Gradients(
            (emit_maxima_gradient(g, features, rows, (top, dy), self.pooled, self.spatial_scale), None)
        )

    def _looked_up(self, g: GraphBuilder, features: Value, rows: str) -> str:
        """The maxima without MaxRoiPool. Four rectangles whose sides are powers of two cover a cell, and the
        maximum of each is in a table for every such rectangle of the features."""
        _, height, width = _sizes(features)
        image, corners = g.ops("Split", rows, g.ints([1, 4]), outputs=2, axis=1)
        scaled = rounded(g, g.op("Mul", corners, g.const(self.spatial_scale)))
        x1, y1, x2, y2 = g.ops("Split", scaled, outputs=4, axis=1, num_outputs=4)  # (R, 1) each
        down, across = _spans(g, y1, y2, self.pooled[0], height), _spans(g, x1, x2, self.pooled[1], width)
        table, start = _table(g, features), _starts(g, features, image, down.level, across.level)
        pitch = g.op("Gather", g.ints(_lefts(width)), g.op("Unsqueeze", across.level, g.ints([1])))
        found = []
        for y in down.begins:
            line = g.op("Add", start, g.op("Mul", g.op("Unsqueeze", y, g.ints([2])), pitch))
            for x in across.begins:
                place = g.op("Add", line, g.op("Unsqueeze", x, g.ints([1])))
                found.append(g.op("Gather", table, place, axis=0))  # (R, pooled_h, pooled_w, C)
        empty = g.op(
            "Or",
            g.op("Unsqueeze", down.empty, g.ints([2, 3])),
            g.op("Unsqueeze", across.empty, g.ints([1, 3])),
        )
        top = g.op("Where", empty, g.const(0), g.op("Max", *found))
        return g.op("Transpose", top, perm=[0, 3, 1, 2])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        features, regions = bottoms
        rows = regions.reshape(-1, 5)
        top = np.zeros((len(rows), features.shape[1], *self.pooled))
        for region, pooled in zip(rows, top, strict=True):
            image = features[int(region[0])]
            rows_of, columns_of = self.cells(region, image.shape[1], image.shape[2])
            for i, (above, below) in enumerate(rows_of):
                for j, (left, right) in enumerate(columns_of):
                    cell = image[:, above:below, left:right]
                    pooled[:, i, j] = cell.max((1, 2)) if cell.size else 0
        return Referenced((top,))

    def cells(self, region: npt.NDArray[Any], height: int, width: int) -> tuple[list[Span], list[Span]]:
        """The rows and the columns of the grid's cells in features of ``height`` x ``width``, each as its
        begin and its end; an empty cell begins where it ends, or behind it."""
        first, last = np.float32(region[1:3]), np.float32(region[3:])
        pad = (last - first + np.float32(1)) * np.float32(self.pad_ratio)
        x1, y1, x2, y2 = (_rounded(corner, self.spatial_scale) for corner in (*first - pad, *last + pad))
        return _cells(y1, y2, self.pooled[0], height), _cells(x1, x2, self.pooled[1], width)


def _rounded(corner: float, scale: float) -> int:
    """Half away from zero, in float32 as the layer computes it."""
    scaled = np.float32(corner) * np.float32(scale)
    return int(np.copysign(np.floor(np.abs(scaled) + np.float32(0.5)), scaled))


def _cells(first: int, last: int, number: int, size: int) -> list[Span]:
    """Where each cell begins and ends, within ``size``; cells are computed in float32 as in the layer."""
    length = np.float32(max(last - first + 1, 1)) / np.float32(number)
    begins = (int(np.floor(np.float32(cell) * length)) for cell in range(number))
    ends = (int(np.ceil(np.float32(cell + 1) * length)) for cell in range(number))
    return [
        (min(max(begin + first, 0), size), min(max(end + first, 0), size))
        for begin, end in zip(begins, ends, strict=True)
    ]


class _Spans(NamedTuple):
    """The rows or the columns of all cells, (R, pooled) each: two stretches of 2^level places cover those of
    a cell."""

    begins: tuple[str, str]
    level: str
    empty: str
    """Whether there are none: bool. The stretches are then any of the features'."""


def _spans(g: GraphBuilder, first: str, last: str, number: int, size: int) -> _Spans:
    """What :func:`_cells` gives, of whole numbers (R, 1)."""
    begin, end = cell_ends(g, first, last, number, size)
    places = g.op("Max", g.op("Sub", end, begin), g.ints(1))
    levels = [max(length, 1).bit_length() - 1 for length in range(size + 1)]
    level = g.op("Gather", g.ints(levels), places)
    stretch = g.op("Gather", g.ints([1 << level for level in levels]), places)
    begins = (
        g.op("Min", begin, g.ints(size - 1)),
        g.op("Max", g.op("Sub", end, stretch), g.ints(0)),
    )
    return _Spans(begins, level, g.op("GreaterOrEqual", begin, end))


def _sizes(features: Value) -> Shape:
    """(C, H, W); the number of images may be free."""
    return Value(features.name, features.dims[1:]).shape


def _lefts(size: int) -> list[int]:
    """In how many places a stretch of 1, 2, 4, ... can begin, up to the longest within ``size``."""
    return [size - (1 << level) + 1 for level in range(size.bit_length())]


def _table(g: GraphBuilder, features: Value) -> str:
    """The maxima of all rectangles of 1, 2, 4, ... rows and 1, 2, 4, ... columns, row by row, one size after
    another, image by image: (N * rectangles, C)."""
    channels, height, width = _sizes(features)
    x = g.op("Transpose", features.name, perm=[0, 2, 3, 1])
    tables = [
        g.op("Reshape", table, g.ints([0, -1, channels]))
        for tall in _doubled(g, x, 1, height)
        for table in _doubled(g, tall, 2, width)
    ]
    return g.op("Reshape", g.op("Concat", *tables, axis=1), g.ints([-1, channels]))


def _starts(g: GraphBuilder, features: Value, image: str, down: str, across: str) -> str:
    """Where in the table the rectangles of a cell's size begin: (R, pooled_h, pooled_w). ``image`` is (R, 1),
    ``down`` and ``across`` are the levels of rows and columns."""
    _, height, width = _sizes(features)
    areas = np.outer(_lefts(height), _lefts(width)).ravel()
    size = g.op(
        "Add",
        g.op("Mul", g.op("Unsqueeze", down, g.ints([2])), g.ints(len(_lefts(width)))),
        g.op("Unsqueeze", across, g.ints([1])),
    )
    start = g.op("Gather", g.ints((np.cumsum(areas) - areas).tolist()), size)
    offset = g.op("Mul", g.op("Cast", image, to=INT64), g.ints(int(areas.sum())))
    return g.op("Add", start, g.op("Unsqueeze", offset, g.ints([2])))


def _doubled(g: GraphBuilder, x: str, axis: int, size: int) -> list[str]:
    """The maxima of 1, 2, 4, ... neighbours along an axis."""
    found = [x]
    for level, left in enumerate(_lefts(size)[1:]):
        parts = (
            g.op("Slice", found[-1], g.ints([begin]), g.ints([begin + left]), g.ints([axis]))
            for begin in (0, 1 << level)
        )
        found.append(g.op("Max", *parts))
    return found

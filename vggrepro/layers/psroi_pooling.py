"""PSROIPooling: the averages of a grid over each region, each cell from channels of its own (R-FCN's layer;
not from BVLC Caffe).

Source: daijifeng001/caffe-rfcn, field ``psroi_pooling_param``; section 3 of "R-FCN: Object Detection via
Region-based Fully Convolutional Networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
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
    exactly,
    register,
)
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.regions import region_rows, rounded

LEAST_SIDE = 0.1
"""Of a region, in places of the features."""


class _Saved(NamedTuple):
    features: Value
    shares: str
    """(group^2, N * H * W, R): what each place of the features adds to each cell of each region."""


@register
@dataclass(frozen=True)
class PSROIPooling(Layer[_Saved]):
    """Bottoms: features (N, D * group^2, H, W) and regions (R, 5): index of the image, x1, y1, x2, y2 in
    pixels of the input, last ones included. Top (R, D, group, group).

    Corners are rounded to whole pixels before ``spatial_scale`` is applied. The cell in row i and column j
    averages channel ``(d * group + i) * group + j`` over the places that it touches; neighbouring cells may
    share a row or column. A cell outside of the features gives 0.
    """

    type = "PSROIPooling"
    origin = "R-FCN"
    bottoms = exactly(2)
    blind_bottoms = silent_bottoms = frozenset({1})

    output_dim: int
    group: int
    spatial_scale: float

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PSROIPooling:
        p = param.psroi_pooling_param
        if p.output_dim < 1 or p.group_size < 1:
            raise NetError(
                f"output_dim must be > 0, group_size must be > 0 (got {p.output_dim}, {p.group_size})"
            )
        return cls(p.output_dim, p.group_size, p.spatial_scale)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        features, regions = bottoms
        if len(features) != 4 or features[1] != self.output_dim * self.group**2:
            raise ShapeError(
                "input channel number does not match layer parameters: bottom[0] must be"
                f" (N, {self.output_dim * self.group**2}, H, W), got shape {features}"
            )
        if len(regions) < 2 or prod(regions[1:]) != 5:
            raise ShapeError(f"bottom[1] must have 5 numbers for each region, got shape {regions}")
        return ((regions[0], self.output_dim, self.group, self.group),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        """A matrix product for each cell: (D, N * H * W) by what each place adds to each region."""
        features, regions = bottoms
        shares = self._shares(g, features, regions)
        product = g.op("MatMul", self._by_cell(g, features.name), shares)  # (group^2, D, R)
        top = g.op("Transpose", product, perm=[2, 1, 0])
        top = g.op("Reshape", top, g.ints([0, 0, self.group, self.group]))
        return Emitted((top,), _Saved(features, shares))

    def _by_cell(self, g: GraphBuilder, features: str) -> str:
        """Features as (group^2, D, N * H * W)."""
        cells = self.group**2
        split = g.op("Reshape", features, g.ints([0, self.output_dim, cells, -1]))
        turned = g.op("Transpose", split, perm=[2, 1, 0, 3])
        return g.op("Reshape", turned, g.ints([cells, self.output_dim, -1]))

    def _shares(self, g: GraphBuilder, features: Value, regions: Value) -> str:
        rows = region_rows(g, regions)
        image, corners = g.ops("Split", rows, g.ints([1, 4]), outputs=2, axis=1)
        first, last = g.ops("Split", rounded(g, corners), outputs=2, axis=1, num_outputs=2)  # (R, 2): x, y
        scale = g.const(self.spatial_scale)
        start = g.op("Mul", first, scale)
        end = g.op("Mul", g.op("Add", last, g.const(1)), scale)
        side = g.op("Max", g.op("Sub", end, start), g.const(LEAST_SIDE))
        bins = g.op("Div", side, g.const(self.group))
        starts, sizes = (
            g.ops("Split", pair, outputs=2, axis=1, num_outputs=2) for pair in (start, bins)
        )  # x and y, (R, 1) each
        across, down = (
            self._touched(g, features, axis, begin, size)
            for axis, begin, size in zip((3, 2), starts, sizes, strict=True)
        )  # (R, group, W) and (R, group, H)
        images = g.op("Equal", g.op("Cast", image, to=INT64), axis_places(g, features.name, 0))  # (R, N)
        parts = (
            g.op("Unsqueeze", g.op("Cast", images, to=FLOAT), g.ints([1, 2, 4, 5])),
            g.op("Unsqueeze", down, g.ints([2, 3, 5])),
            g.op("Unsqueeze", across, g.ints([1, 3, 4])),
        )
        product = g.op("Mul", g.op("Mul", parts[0], parts[1]), parts[2])  # (R, group, group, N, H, W)
        flat = g.op("Reshape", product, g.ints([0, self.group**2, -1]))
        return g.op("Transpose", flat, perm=[1, 2, 0])

    def _touched(self, g: GraphBuilder, features: Value, axis: int, start: str, size: str) -> str:
        """(R, group, places): at places that a cell touches along an axis 1 / their number, else 0."""
        cells = np.arange(self.group)
        begin = g.op("Floor", g.op("Add", g.op("Mul", g.const(cells[None]), size), start))
        end = g.op("Ceil", g.op("Add", g.op("Mul", g.const(cells[None] + 1), size), start))
        begin, end = (g.op("Unsqueeze", edge, g.ints([2])) for edge in (begin, end))
        place = g.op("Cast", axis_places(g, features.name, axis), to=FLOAT)
        inside = g.op("And", g.op("GreaterOrEqual", place, begin), g.op("Less", place, end))
        inside = g.op("Cast", inside, to=FLOAT)
        number = g.op("Max", g.op("ReduceSum", inside, g.ints([2])), g.const(1))
        return g.op("Div", inside, number)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, None))
        images, channels, height, width = saved.features.shape
        cells = self.group**2
        flat = g.op("Reshape", dy, g.ints([0, self.output_dim, cells]))  # (R, D, group^2)
        d_cells = g.op("Transpose", flat, perm=[2, 1, 0])
        d_features = g.op("MatMul", d_cells, g.op("Transpose", saved.shares, perm=[0, 2, 1]))
        split = g.op("Reshape", d_features, g.ints([cells, self.output_dim, images, height * width]))
        turned = g.op("Transpose", split, perm=[2, 1, 0, 3])
        return Gradients((g.op("Reshape", turned, g.ints([images, channels, height, width])), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        features, regions = bottoms
        group = self.group
        rows = regions.reshape(-1, 5)
        top = np.zeros((len(rows), self.output_dim, group, group))
        for region, pooled in zip(rows, top, strict=True):
            image = features[int(region[0])].reshape(self.output_dim, group, group, *features.shape[2:])
            x1, y1, x2, y2 = (np.copysign(np.floor(abs(corner) + 0.5), corner) for corner in region[1:])
            down = self._cells(y1, y2, features.shape[2])
            across = self._cells(x1, x2, features.shape[3])
            for i, j in np.ndindex(group, group):
                cell = image[:, i, j, slice(*down[i]), slice(*across[j])]
                pooled[:, i, j] = cell.mean((1, 2)) if cell.size else 0
        return Referenced((top,))

    def _cells(self, first: float, last: float, size: int) -> list[tuple[int, int]]:
        """Where each cell begins and ends, within ``size``, in float32 as the layer computes it."""
        scale = np.float32(self.spatial_scale)
        start, end = np.float32(first) * scale, np.float32(last + 1) * scale
        cell = np.maximum(end - start, np.float32(LEAST_SIDE)) / np.float32(self.group)
        numbers = np.arange(self.group + 1, dtype=np.float32)
        begins = np.floor(numbers[:-1] * cell + start).clip(0, size).astype(int)
        ends = np.ceil(numbers[1:] * cell + start).clip(0, size).astype(int)
        return list(zip(begins.tolist(), ends.tolist(), strict=True))

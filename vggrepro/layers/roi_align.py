"""ROIAlign: averages of a grid over each region of interest, from values between the places (Mask R-CNN's
layer; not from BVLC Caffe).

Sources: the rule of Detectron (facebookresearch/Detectron, operator RoIAlign), which forks of Caffe with a
``sampling_ratio`` in field ``roi_align_param`` follow: Huawei documents one for Ascend. Cascade R-CNN's
(zhaoweicai/cascade-rcnn) takes the values at the corners of the cells; its field ``roi_pooling_param`` is
also that of zuokai/roialign, which has other rules, so its nets are told by their other layers or by
``--fork cascade-rcnn``. The other forks of this name have rules of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
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
from vggrepro.layers.rules.regions import pooled_size, region_rows


class _Saved(NamedTuple):
    features: Value
    images: str
    """Of each region, int64."""
    corners: str
    """(R, 4)."""


@register
@dataclass(frozen=True)
class ROIAlign(Layer[_Saved]):
    """Bottoms: features (N, C, H, W) and regions (R, 5): index of the image, x1, y1, x2, y2 in pixels of the
    input. Top (R, C, pooled_h, pooled_w).

    Nothing is rounded: the corners times ``spatial_scale`` bound the region, a place wide and high at least.
    A cell averages ``sampling_ratio`` times as many samples, interpolated linearly; 0 or less stands for a
    sample for each place or part of a place. Samples more than a place outside of the features are 0.

    DEVIATION: no gradient without a positive ``sampling_ratio``, where the number of samples depends on data.
    """

    type = "ROIAlign"
    origin = "Ascend and others; Cascade R-CNN"
    bottoms = exactly(2)
    blind_bottoms = silent_bottoms = frozenset({1})

    pooled: tuple[int, int]
    spatial_scale: float = 1.0
    samples: int = 0
    """In a cell, along an axis; 0 for a number that depends on the region."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ROIAlign:
        if param.roi_pooling_param.corner_grid:
            p = param.roi_pooling_param
            return CornerGrid(pooled_size(p), p.spatial_scale, samples=1, pad_ratio=p.pad_ratio)
        p = param.roi_align_param
        if not p.HasField("sampling_ratio"):
            raise UnsupportedError(
                "ROIAlign without sampling_ratio in roi_align_param: forks of this name have different rules"
                " (--fork cascade-rcnn says that it is Cascade R-CNN's)"
            )
        return cls(pooled_size(p), p.spatial_scale, max(p.sampling_ratio, 0))

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the tops."""
        return self.pooled

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        features, regions = bottoms
        if len(features) != 4:
            raise ShapeError(f"bottom[0] must have 4 axes, got shape {features}")
        if len(regions) < 2 or prod(regions[1:]) != 5:
            raise ShapeError(f"bottom[1] must have 5 numbers for each region, got shape {regions}")
        return ((regions[0], features[1], *self.grid),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        features, regions = bottoms
        rows = region_rows(g, regions)
        image, corners = g.ops("Split", rows, g.ints([1, 4]), outputs=2, axis=1)
        images = g.op("Cast", g.op("Squeeze", image, g.ints([1])), to=INT64)
        top = g.op(
            "RoiAlign",
            features.name,
            corners,
            images,
            mode="avg",
            coordinate_transformation_mode="output_half_pixel",
            output_height=self.pooled[0],
            output_width=self.pooled[1],
            sampling_ratio=self.samples,
            spatial_scale=self.spatial_scale,
        )
        return Emitted((top,), _Saved(features, images, corners))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """A matrix product: (C, R * cells) by what each place adds to each cell of each region."""
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None, None))
        if not self.samples:
            raise UnsupportedError("roi_align_param: no gradient without a positive sampling_ratio")
        images, channels, height, width = saved.features.shape
        starts, sides = (
            g.ops("Split", pair, outputs=2, axis=1, num_outputs=2) for pair in self._bounds(g, saved.corners)
        )
        across = self._shares(g, starts[0], sides[0], self.pooled[1], width)
        down = self._shares(g, starts[1], sides[1], self.pooled[0], height)
        index = g.op("Unsqueeze", saved.images, g.ints([1]))
        inside = g.op("Cast", g.op("Equal", index, g.ints(list(range(images)))), to=FLOAT)  # (R, N)
        parts = (
            g.op("Unsqueeze", inside, g.ints([1, 2, 4, 5])),
            g.op("Unsqueeze", down, g.ints([2, 3, 5])),
            g.op("Unsqueeze", across, g.ints([1, 3, 4])),
        )
        shares = g.op("Mul", g.op("Mul", parts[0], parts[1]), parts[2])  # (R, pooled_h, pooled_w, N, H, W)
        shares = g.op("Reshape", shares, g.ints([-1, images * height * width]))
        d_cells = g.op("Reshape", g.op("Transpose", dy, perm=[1, 0, 2, 3]), g.ints([channels, -1]))
        product = g.op("MatMul", d_cells, shares)
        split = g.op("Reshape", product, g.ints([channels, images, height, width]))
        return Gradients((g.op("Transpose", split, perm=[1, 0, 2, 3]), None))

    def _bounds(self, g: GraphBuilder, corners: str) -> tuple[str, str]:
        """Where regions begin, and their sides, in places; (R, 2) each, x before y."""
        first, last = g.ops("Split", corners, outputs=2, axis=1, num_outputs=2)
        scale = g.const(self.spatial_scale)
        start = g.op("Mul", first, scale)
        return start, g.op("Max", g.op("Sub", g.op("Mul", last, scale), start), g.const(1))

    def _samples(self, g: GraphBuilder, start: str, side: str, cells: int, size: str) -> tuple[str, str]:
        """Where the samples lie along an axis of ``size`` places (a tensor), (R, cells * samples), and which
        of them are not 0."""
        steps = (np.arange(cells * self.samples) + 0.5) / (cells * self.samples)
        at = g.op("Add", g.op("Mul", side, g.const(steps[None])), start)
        near = g.op("And", g.op("GreaterOrEqual", at, g.const(-1)), g.op("LessOrEqual", at, size))
        return at, near

    def _shares(self, g: GraphBuilder, start: str, side: str, cells: int, size: int) -> str:
        """(R, cells, size): what each place of an axis adds to each cell."""
        at, near = self._samples(g, start, side, cells, g.const(size))
        at = g.op("Min", g.op("Max", at, g.const(0)), g.const(size - 1))
        distance = g.op("Abs", g.op("Sub", g.op("Unsqueeze", at, g.ints([2])), g.const(np.arange(size))))
        share = g.op("Max", g.op("Sub", g.const(1), distance), g.const(0))
        share = g.op("Where", g.op("Unsqueeze", near, g.ints([2])), share, g.const(0))
        if self.samples == 1:
            return share
        split = g.op("Reshape", share, g.ints([-1, cells, self.samples, size]))
        return g.op("ReduceMean", split, g.ints([2]), keepdims=0)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        features, regions = bottoms
        rows = regions.reshape(-1, 5)
        top = np.zeros((len(rows), features.shape[1], *self.grid))
        for (image, x1, y1, x2, y2), pooled in zip(rows, top, strict=True):
            down = self._weights(y1, y2, self.pooled[0], features.shape[2])
            across = self._weights(x1, x2, self.pooled[1], features.shape[3])
            pooled[:] = down @ features[int(image)] @ across.T
        return Referenced((top,))

    def _weights(self, first: float, last: float, cells: int, size: int) -> Array:
        """(cells, size): shares of the places; sides and numbers of samples in float32 as in the layer."""
        scale = np.float32(self.spatial_scale)
        start = np.float32(first) * scale
        side = np.maximum(np.float32(last) * scale - start, np.float32(1))
        samples = self.samples or int(np.ceil(side / np.float32(cells)))
        at = float(start) + float(side) * (np.arange(cells * samples) + 0.5) / (cells * samples)
        inside = (at >= -1) & (at <= size)
        distance = abs(at.clip(0, size - 1)[:, None] - np.arange(size))
        shares = np.where(inside[:, None], np.maximum(1 - distance, 0), 0)
        weights: Array = shares.reshape(cells, samples, size).mean(1)
        return weights


@dataclass(frozen=True)
class CornerGrid(ROIAlign):
    """Cascade R-CNN's: the top (R, C, pooled_h + 1, pooled_w + 1) has the values at the corners of the cells,
    which a Pooling of 2 x 2 averages. Before, a region grows on each side by ``pad_ratio`` of its width
    and height, its last pixel included. Corners more than half a place outside of the features, and regions
    that end before they begin, are 0.

    DEVIATION: the last corner lies exactly at the region's end. In the fork it is a sum, whose rounding may
    put that of a region at the image's edge outside of the features.
    """

    pad_ratio: float = 0.0

    @property
    def grid(self) -> tuple[int, int]:
        return self.pooled[0] + 1, self.pooled[1] + 1

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        """By RoiAlign with one sample in the middle of each cell, of cells around the corners."""
        features, regions = bottoms
        image, corners = g.ops("Split", region_rows(g, regions), g.ints([1, 4]), outputs=2, axis=1)
        images = g.op("Cast", g.op("Squeeze", image, g.ints([1])), to=INT64)
        start, end = self._bounds(g, corners)
        side = g.op("Sub", end, start)
        half = g.op("Div", side, g.const(np.array([[2 * self.pooled[1], 2 * self.pooled[0]]])))
        first = g.op("Add", g.op("Sub", start, half), g.const(0.5))  # RoiAlign takes half a place off again
        last = g.op("Add", g.op("Add", end, half), g.const(0.5))
        top = g.op(
            "RoiAlign",
            features.name,
            g.op("Concat", first, last, axis=1),
            images,
            mode="avg",
            coordinate_transformation_mode="half_pixel",
            output_height=self.grid[0],
            output_width=self.grid[1],
            sampling_ratio=1,
            spatial_scale=1.0,
        )
        starts, ends = (g.ops("Split", pair, outputs=2, axis=1, num_outputs=2) for pair in (start, end))
        height, width = (
            g.op("Cast", g.op("Shape", features.name, start=axis, end=axis + 1), to=FLOAT) for axis in (2, 3)
        )
        _, across = self._samples(g, starts[0], ends[0], self.pooled[1], width)
        _, down = self._samples(g, starts[1], ends[1], self.pooled[0], height)
        near = g.op("And", g.op("Unsqueeze", across, g.ints([1, 2])), g.op("Unsqueeze", down, g.ints([1, 3])))
        return Emitted((g.op("Where", near, top, g.const(0)),), _Saved(features, images, corners))

    def _bounds(self, g: GraphBuilder, corners: str) -> tuple[str, str]:
        """Where regions begin and end."""
        first, last = g.ops("Split", corners, outputs=2, axis=1, num_outputs=2)
        pad = g.op("Mul", g.op("Add", g.op("Sub", last, first), g.const(1)), g.const(self.pad_ratio))
        scale, half = g.const(self.spatial_scale), g.const(0.5)
        start = g.op("Sub", g.op("Mul", g.op("Sub", first, pad), scale), half)
        return start, g.op("Sub", g.op("Mul", g.op("Add", last, pad), scale), half)

    def _samples(self, g: GraphBuilder, start: str, end: str, cells: int, size: str) -> tuple[str, str]:
        steps = np.arange(cells + 1)[None] / cells
        at = g.op("Add", g.op("Mul", start, g.const(1 - steps)), g.op("Mul", end, g.const(steps)))
        edge = g.op("Sub", size, g.const(0.5))
        inside = g.op("And", g.op("GreaterOrEqual", at, g.const(-0.5)), g.op("LessOrEqual", at, edge))
        return at, g.op("And", inside, g.op("Greater", end, start))

    def _weights(self, first: float, last: float, cells: int, size: int) -> Array:
        """Bounds in float32 as in the layer."""
        scale, half = np.float32(self.spatial_scale), np.float32(0.5)
        pad = (np.float32(last) - np.float32(first) + np.float32(1)) * np.float32(self.pad_ratio)
        start, end = (
            float(corner * scale - half) for corner in (np.float32(first) - pad, np.float32(last) + pad)
        )
        steps = np.arange(cells + 1) / cells
        at = start * (1 - steps) + end * steps
        inside = (at >= -0.5) & (at <= size - 0.5) & (end > start)
        distance = abs(at.clip(0, size - 1)[:, None] - np.arange(size))
        return np.where(inside[:, None], np.maximum(1 - distance, 0), 0)

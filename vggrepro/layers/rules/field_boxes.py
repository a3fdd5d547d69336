"""What BoxOutput and BoxGroupOutput share: boxes of maps of several scales, found by MS-CNN's rules."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    DataRows,
    Emitted,
    Layer,
    Reach,
    Referenced,
    Shapes,
)
from vggrepro.layers.rules.anchors import Anchors, grid, reference_grid
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.pooling_nodes import LOWEST
from vggrepro.layers.rules.sure_boxes import (
    ROW,
    Candidates,
    SureBoxes,
    check_suppression,
)

NOTHING = (0, 1, 1, 10, 10)
"""The row of an empty answer."""


@dataclass(frozen=True)
class Fields:
    """The boxes around each place of a map, which its predictions move and stretch."""

    sides: tuple[tuple[int, int], ...]
    """Width and height of each, in pixels."""
    stride: int
    """Pixels from one place to the next."""

    @property
    def anchors(self) -> Anchors:
        """The boxes of the first place, whose centre is half a stride from the corner of the image."""
        middle = self.stride / 2
        return tuple(
            (middle - w / 2, middle - h / 2, middle + w / 2 - 1, middle + h / 2 - 1) for w, h in self.sides
        )


@dataclass(frozen=True)
class BoxParam:
    """What both layers compute with, from ``box_output_param`` or ``box_group_output_param``."""

    fields: tuple[Fields, ...]
    """Of each map."""
    sure: SureBoxes
    statistics: BoxStatistics
    least_score: float
    min_size: float
    far: float
    """Centres move by at most a side of the field over this."""
    stretch: float
    """Sides are stretched or shrunk by at most this factor."""
    gives_scores: bool

    @classmethod
    def from_param(cls, param: Any, p: Any, fields: tuple[Fields, ...], pixels: bool) -> BoxParam:
        check_suppression(p.nms_type)
        if p.field_whr < 1 or p.field_xyr <= 0 or p.iou_thr < 0:
            raise NetError("field_whr must be at least 1, field_xyr positive, iou_thr not negative")
        if any(min(side, field.stride) < 1 for field in fields for sides in field.sides for side in sides):
            raise NetError("the sides and strides of fields must be positive")
        return cls(
            fields,
            SureBoxes(p.iou_thr, p.max_nms_num, p.max_post_nms_num, pixels, last_first=True),
            BoxStatistics.from_param(param),
            p.fg_thr,
            p.min_size,
            p.field_xyr,
            p.field_whr,
            len(param.top) > 1,
        )


@dataclass(frozen=True)
class FieldBoxes(Layer[None]):
    """The boxes of N images; each layer reads scores and predictions from its bottoms in its own way.

    Tops: (R, 5, 1, 1), index of the image, x1, y1, x2, y2 in pixels; optionally (R, 6, 1, 1), the same and
    the score. A place's predictions, times ``bbox_std`` plus ``bbox_mean``, are bounded, and move and stretch
    its field. Boxes with a score of ``fg_thr`` or more, and sides of ``min_size`` or more, are candidates. Of
    each image's ``max_nms_num`` surest, one stays unless it overlaps a surer one that stayed by more than
    ``iou_thr``, in all ``max_post_nms_num``; 0 stands for no limit.

    DEVIATION: the number of boxes depends on the data, a top's shape here does not. R is the largest number
    possible; the boxes come first, all behind them is 0, a region of one pixel. The forks' own answer where
    there are none, one region (0, 1, 1, 10, 10) with a score of 0, is kept.

    NonMaxSuppression has no CUDA kernel.
    """

    tops = Count(1, 2)
    has_gradient = False
    data_rows = DataRows(0, 0)

    param: BoxParam

    @abstractmethod
    def _scores(self, g: GraphBuilder, bottoms: Sequence[Value], index: int) -> tuple[str, str]:
        """Of a map: scores (N, P) and predictions (N, P, 4)."""

    @abstractmethod
    def _reference_scores(self, bottoms: Sequence[Array], index: int) -> tuple[Array, Array]:
        """The same in NumPy."""

    @abstractmethod
    def _map_shape(self, bottoms: Shapes, index: int) -> Shape:
        """(N, P) of a map; raises ShapeError where bottoms do not fit."""

    @property
    @abstractmethod
    def _each(self) -> int:
        """How many bottoms stand for a map."""

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        maps = len(self.param.fields)
        if len(bottoms) != self._each * maps:
            raise ShapeError(f"fields of {maps} maps need {self._each * maps} bottoms, got {len(bottoms)}")
        for index, shape in enumerate(bottoms):
            if len(shape) != 4:
                raise ShapeError(f"bottom[{index}] must have 4 axes, got shape {shape}")
        shapes = [self._map_shape(bottoms, index) for index in range(maps)]
        if len({images for images, _ in shapes}) > 1:
            raise ShapeError(f"all maps must be of as many images, got bottoms {tuple(bottoms)}")
        rows = shapes[0][0] * self.param.sure.number(sum(boxes for _, boxes in shapes))
        regions = (rows, ROW - 1, 1, 1)
        return (regions, (rows, ROW, 1, 1)) if self.param.gives_scores else (regions,)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        each = [self._candidates(g, bottoms, index) for index in range(len(self.param.fields))]
        joined = Candidates(*(g.op("Concat", *part, axis=1) for part in zip(*each, strict=True)))
        rows, stays = self.param.sure.emit(g, joined, self._kept(bottoms))
        empty = g.op("Cast", g.op("Equal", stays, g.ints([0])), to=FLOAT)
        behind = g.op("Sub", g.op("Shape", rows, end=1), g.ints([1]))
        nothing = g.op("Pad", g.const([NOTHING]), g.op("Concat", g.ints([0, 0]), behind, g.ints([0]), axis=0))
        regions = g.op("Slice", rows, g.ints([0]), g.ints([ROW - 1]), g.ints([1]))
        regions = g.op("Add", regions, g.op("Mul", nothing, empty))
        tops = [regions, rows] if self.param.gives_scores else [regions]
        return Emitted(tuple(g.op("Unsqueeze", top, g.ints([2, 3])) for top in tops), None)

    def _kept(self, bottoms: Sequence[Value]) -> int:
        """How many boxes an image may have. Without a limit the sizes of the maps say it."""
        sure = self.param.sure
        if sure.kept or sure.most:
            return sure.number(0)
        shapes = [value.shape for value in bottoms]
        return sum(self._map_shape(shapes, index)[1] for index in range(len(self.param.fields)))

    def _candidates(self, g: GraphBuilder, bottoms: Sequence[Value], index: int) -> Candidates:
        """The boxes of one map."""
        found, features = self.param, bottoms[self._each * index].name
        scores, coded = self._scores(g, bottoms, index)
        shift, stretch = g.ops(
            "Split", found.statistics.emit(g, coded), outputs=2, axis=2, num_outputs=2
        )  # (N, P, 2): x, y
        shift = g.op("Clip", shift, g.const(-1 / found.far), g.const(1 / found.far))
        stretch = g.op("Clip", stretch, g.const(-log(found.stretch)), g.const(log(found.stretch)))
        field = found.fields[index]
        centre, side = grid(g, features, field.anchors, field.stride)
        sides = g.op("Mul", g.op("Exp", stretch), side)
        middle = g.op("Add", g.op("Mul", shift, side), centre)
        first = g.op("Sub", middle, g.op("Mul", sides, g.const(0.5)))
        size = g.op("Shape", features, start=2)
        edge = g.op(
            "Mul", g.op("Cast", g.op("Gather", size, g.ints([1, 0]), axis=0), to=FLOAT), g.const(field.stride)
        )
        first, last, size = self._clipped(g, first, sides, edge)
        small = g.op("Less", g.op("ReduceMin", size, g.ints([2]), keepdims=0), g.const(found.min_size))
        unsure = g.op("Less", scores, g.const(found.least_score))
        scores = g.op("Where", g.op("Or", small, unsure), g.const(LOWEST), scores)
        return Candidates(g.op("Concat", first, last, axis=2), scores)

    def _clipped(self, g: GraphBuilder, first: str, sides: str, edge: str) -> tuple[str, str, str]:
        """First and last corners, in the image, and sides, (N, P, 2). In pixels the first corner is cut after
        the last one is known; else the box is moved into the image first."""
        if self.param.sure.pixels:
            last = g.op("Min", g.op("Sub", g.op("Add", first, sides), g.const(1)), edge)
            first = g.op("Max", first, g.const(0))
            return first, last, g.op("Add", g.op("Sub", last, first), g.const(1))
        first = g.op("Max", first, g.const(0))
        last = g.op("Min", g.op("Add", first, sides), edge)
        return first, last, g.op("Sub", last, first)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        shapes = self.out_shapes([b.shape for b in bottoms])
        each = [self._reference_candidates(bottoms, index) for index in range(len(self.param.fields))]
        boxes, scores = (np.concatenate(part, axis=1) for part in zip(*each, strict=True))
        rows = np.zeros((shapes[0][0], ROW))
        count = 0
        for image, (places, certainty) in enumerate(zip(boxes, scores, strict=True)):
            stays = self.param.sure.reference(places, certainty)
            rows[count : count + len(stays)] = np.column_stack([np.full(len(stays), image), stays])
            count += len(stays)
        regions = rows[:, :-1].copy()
        if not count:
            regions[0] = NOTHING
        tops = (regions, rows) if self.param.gives_scores else (regions,)
        return Referenced(tuple(top[:, :, None, None] for top in tops))

    def _reference_candidates(self, bottoms: Sequence[Array], index: int) -> tuple[Array, Array]:
        found, field = self.param, self.param.fields[index]
        scores, coded = self._reference_scores(bottoms, index)
        coded = found.statistics.reference(coded)
        size = bottoms[self._each * index].shape[2:]
        centre, side = reference_grid(size, field.anchors, field.stride)
        sides = side * np.exp(coded[..., 2:].clip(-log(found.stretch), log(found.stretch)))
        first = centre + side * coded[..., :2].clip(-1 / found.far, 1 / found.far) - sides / 2
        edge, pixel = np.array(size[::-1]) * field.stride, int(found.sure.pixels)
        last = first + sides - pixel
        first = np.maximum(first, 0)
        last = np.minimum(last if pixel else first + sides, edge)
        small = (last - first + pixel < found.min_size).any(2)
        scores = np.where(small | (scores < np.float32(found.least_score)), LOWEST, scores)
        return np.concatenate([first, last], axis=2), scores


def flat_maps(g: GraphBuilder, maps: Value, groups: int) -> str:
    """Maps (N * groups, C, H, W) as rows (N, H * W * groups, C), place by place."""
    (channels,) = Value(maps.name, maps.dims[1:2]).shape
    joined = g.op("Reshape", maps.name, g.ints([-1, groups * channels, 0, 0]))
    rows = g.op("Transpose", joined, perm=[0, 2, 3, 1])
    return g.op("Reshape", rows, g.ints([0, -1, channels]))


def reference_flat_maps(maps: Array, groups: int) -> Array:
    """The same in NumPy."""
    _, channels, height, width = maps.shape
    rows = maps.reshape(-1, groups * channels, height, width).transpose(0, 2, 3, 1)
    flat: Array = rows.reshape(len(rows), -1, channels)
    return flat

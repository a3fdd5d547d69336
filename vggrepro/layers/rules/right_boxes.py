"""The boxes that a training set says are right, as SSD's AnnotatedData hands them out.

A blob (1, 1, G, 8) has a row for each: index of the image in the batch, label, number among the image's boxes
of that label, xmin, ymin, xmax, ymax in units of the image, and whether it is difficult. The first row whose
index is -1 ends them. Source: weiliu89/caffe, branch ssd, ``GetGroundTruth``.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.element_count import axis_places

ROW = 8

PIXEL_ROWS = (5, 7, 8)
"""How many numbers the data layers of R-CNN forks give for a box: py-faster-rcnn, MS-CNN, Cascade R-CNN."""


class BoxTables(NamedTuple):
    """The rows by image: tensors whose first axes are (N, K). K is the largest number of boxes that an image
    of the batch has, and at least 1."""

    boxes: str
    """(N, K, 4)."""
    labels: str
    """(N, K), int64."""
    real: str
    """(N, K), bool: whether the image has so many boxes. The others are zeros."""


class RightBoxes(NamedTuple):
    """The boxes of one image."""

    boxes: Array
    """(K, 4)."""
    labels: npt.NDArray[np.int64]
    difficult: npt.NDArray[np.bool_]


def check_rows(shape: Shape, name: str) -> None:
    """Raise ShapeError unless a bottom is (1, 1, G, 8)."""
    if len(shape) != 4 or shape[:2] != (1, 1) or shape[3] != ROW:
        raise ShapeError(f"{name} must be boxes of shape (1, 1, boxes, {ROW}), got {shape}")


def label_column(bottom: int, classes: int) -> AllowedLabels:
    """The labels of rows; that of the row which says that there are no boxes is -1."""
    return AllowedLabels(bottom, classes, ignored=-1, column=(ROW, 1))


def example_rows(number: int, images: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Rows of boxes of label 1, in turns in each of the images: (1, 1, number, 8)."""
    rows = np.zeros((number, ROW))
    rows[:, 0] = np.arange(number) % images
    rows[:, 1] = 1
    rows[:, 3:5] = rng.uniform(0, 0.6, (number, 2))
    rows[:, 5:7] = rows[:, 3:5] + rng.uniform(0.1, 0.4, (number, 2))
    return rows[None, None].astype(np.float32)


def example_pixel_rows(
    shape: Shape, images: int, size: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Boxes of label 1 in images of ``size``, height and width, as data layers of R-CNN forks give them, (G,
    5): x1, y1, x2, y2 in pixels and the label; longer rows begin with the index of the image, and end with
    0."""
    number, columns = shape[0], prod(shape[1:])
    edges = np.array(size[::-1])
    first = rng.uniform(0, 0.5, (number, 2)) * edges
    rows = np.concatenate(
        [first, first + rng.uniform(0.2, 0.5, (number, 2)) * edges, np.ones((number, 1))], axis=1
    )
    if columns > rows.shape[1]:
        rest = np.zeros((number, columns - rows.shape[1] - 1))
        rows = np.concatenate([np.arange(number)[:, None] % images, rows, rest], axis=1)
    return rows.reshape(shape).astype(np.float32)


def emit_truth(g: GraphBuilder, rows: str, images: str, with_difficult: bool) -> BoxTables:
    """The tables of a blob (1, 1, G, 8) for ``images`` (int64 (1)) images."""
    rows = g.op("Reshape", rows, g.ints([-1, ROW]))  # (G, 8)
    item = g.op("Cast", g.op("Gather", rows, g.ints(0), axis=1), to=INT64)  # (G)
    used = _used(g, rows, item, images, with_difficult)
    rank = _ranks(g, item, used)
    most = g.op("ReduceMax", g.op("Where", used, g.op("Add", rank, g.const(1)), g.const(1)), g.ints([0]))
    width = g.op("Cast", most, to=INT64)  # (1)
    cells = g.op("Mul", images, width)
    cell = g.op("Add", g.op("Mul", item, width), g.op("Cast", rank, to=INT64))
    number = g.op("Shape", item)
    order = g.op("Range", g.ints(0), g.op("Squeeze", number, g.ints([0])), g.ints(1))
    empty = g.op("Expand", number, g.op("Add", cells, g.ints([1])))  # one cell more, for what is not used
    table = g.op("ScatterElements", empty, g.op("Where", used, cell, cells), order, axis=0)
    table = g.op("Reshape", g.op("Slice", table, g.ints([0]), cells), g.op("Concat", images, width, axis=0))
    found = g.op("Gather", g.op("Pad", rows, g.ints([0, 0, 1, 0])), table, axis=0)  # (N, K, 8)
    return BoxTables(
        g.op("Slice", found, g.ints([3]), g.ints([7]), g.ints([2])),
        g.op("Cast", g.op("Gather", found, g.ints(1), axis=2), to=INT64),
        g.op("Less", table, number),
    )


def emit_listed(g: GraphBuilder, item: str) -> str:
    """Which rows come before the first whose index is -1: bool (G), of the indices, int64 (G)."""
    ends = g.op("Cast", g.op("Equal", item, g.ints(-1)), to=FLOAT)
    return g.op("Equal", g.op("CumSum", ends, g.ints(0)), g.const(0))


def _used(g: GraphBuilder, rows: str, item: str, images: str, with_difficult: bool) -> str:
    """Which rows count: bool (G)."""
    inside = g.op("And", g.op("GreaterOrEqual", item, g.ints(0)), g.op("Less", item, images))
    used = g.op("And", emit_listed(g, item), inside)
    if with_difficult:
        return used
    difficult = g.op("Gather", rows, g.ints(7), axis=1)
    return g.op("And", used, g.op("Equal", difficult, g.const(0)))


def _ranks(g: GraphBuilder, item: str, used: str) -> str:
    """How many rows of the same image that count come before each: float32 (G)."""
    order = axis_places(g, item, 0)
    earlier = g.op("Less", order, g.op("Unsqueeze", order, g.ints([1])))
    same = g.op("Equal", item, g.op("Unsqueeze", item, g.ints([1])))
    counted = g.op("And", g.op("And", same, earlier), used)
    return g.op("ReduceSum", g.op("Cast", counted, to=FLOAT), g.ints([1]), keepdims=0)


def reference_truth(rows: Array, with_difficult: bool = True) -> dict[int, RightBoxes]:
    """The boxes of each image that has any, by its index, in the order of the rows."""
    table = rows.reshape(-1, ROW)
    item = np.trunc(table[:, 0])
    used = np.cumsum(item == -1) == 0
    if not with_difficult:
        used &= table[:, 7] == 0
    return {
        int(image): RightBoxes(own[:, 3:7], own[:, 1].astype(np.int64), own[:, 7] != 0)
        for image in np.unique(item[used])
        for own in [table[used & (item == image)]]
    }

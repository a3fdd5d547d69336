"""The gradient of ROIPooling: where the maximum of each cell of each region was found.

Each cell of a region touches some rows and columns of the features. All cells are looked at in a frame as
large as the largest of them, whose further places do not count.
"""

from __future__ import annotations

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Value
from vggrepro.layers.rules.regions import cell_ends, rounded


def emit_maxima_gradient(
    g: GraphBuilder,
    features: Value,
    rows: str,
    tops: tuple[str, str],
    pooled: tuple[int, int],
    scale: float,
) -> str:
    """The gradient of ``features`` (N, C, H, W), of which ROIPooling made ``tops``: the maxima and their
    gradient (R, C, ph, pw). ``rows``: regions (R, 5). The first of equal maxima, row by row, gets the whole
    gradient.

    Memory: R * ph * pw * C numbers for each place of the frame.
    """
    images, channels, height, width = features.shape
    cells = pooled[0] * pooled[1]
    place, inside = _frame(g, rows, features.shape, pooled, scale)  # (R, cells, K)
    flat = g.op("Reshape", g.op("Transpose", features.name, perm=[0, 2, 3, 1]), g.ints([-1, channels]))
    top, dy = (
        g.op("Transpose", g.op("Reshape", x, g.ints([0, channels, cells])), perm=[0, 2, 1]) for x in tops
    )  # (R, cells, C)
    same = g.op("Equal", g.op("Gather", flat, place, axis=0), g.op("Unsqueeze", top, g.ints([2])))
    same = g.op("And", same, g.op("Unsqueeze", inside, g.ints([3])))  # (R, cells, K, C)
    marks = g.op("Cast", same, to=FLOAT)
    first = g.op("ArgMax", marks, axis=2, keepdims=0)
    found = g.op("ReduceMax", marks, g.ints([2]), keepdims=0)  # 0 in cells without places
    source = g.op("GatherElements", place, first, axis=2)  # (R, cells, C)
    nothing = g.const(np.zeros((images * height * width, channels)))
    index, values = (g.op("Reshape", x, g.ints([-1, channels])) for x in (source, g.op("Mul", dy, found)))
    total = g.op("ScatterElements", nothing, index, values, axis=0, reduction="add")
    maps = g.op("Reshape", total, g.ints([images, height, width, channels]))
    return g.op("Transpose", maps, perm=[0, 3, 1, 2])


def _frame(
    g: GraphBuilder, rows: str, shape: tuple[int, ...], pooled: tuple[int, int], scale: float
) -> tuple[str, str]:
    """For all cells of all regions the places (N * H * W) of their frame, int64, and which of them the cell
    has, bool; both (R, ph * pw, K)."""
    image, x1, y1, x2, y2 = g.ops("Split", rows, outputs=5, axis=1, num_outputs=5)  # (R, 1)
    _, _, height, width = shape
    down, has_row = _places(g, (y1, y2), pooled[0], height, scale)  # (R, ph, Kh)
    across, has_column = _places(g, (x1, x2), pooled[1], width, scale)  # (R, pw, Kw)
    spread = [(down, has_row, [2, 4]), (across, has_column, [1, 3])]
    (row, in_row), (column, in_column) = (
        [g.op("Unsqueeze", x, g.ints(axes)) for x in (places, has)] for places, has, axes in spread
    )  # (R, ph, 1, Kh, 1) and (R, 1, pw, 1, Kw)
    above = g.op("Mul", g.op("Cast", image, to=INT64), g.ints(height))
    above = g.op("Add", g.op("Unsqueeze", above, g.ints([2, 3, 4])), row)
    place = g.op("Add", g.op("Mul", above, g.ints(width)), column)
    size = g.ints([0, pooled[0] * pooled[1], -1])
    return g.op("Reshape", place, size), g.op("Reshape", g.op("And", in_row, in_column), size)


def _places(g: GraphBuilder, ends: tuple[str, str], number: int, size: int, scale: float) -> tuple[str, str]:
    """Along an axis with ``size`` places: those of ``number`` cells, int64 (R, number, K), and which are in
    the cell, bool. ``ends``: the first and last pixels of regions (R, 1)."""
    first, last = (rounded(g, g.op("Mul", end, g.const(scale))) for end in ends)
    begin, end = cell_ends(g, first, last, number, size)
    most = g.op("Max", g.op("ReduceMax", g.op("Sub", end, begin), keepdims=0), g.ints(1))
    places = g.op("Add", g.op("Unsqueeze", begin, g.ints([2])), g.op("Range", g.ints(0), most, g.ints(1)))
    return g.op("Min", places, g.ints(size - 1)), g.op("Less", places, g.op("Unsqueeze", end, g.ints([2])))

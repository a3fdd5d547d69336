"""Regions of interest as a bottom: rows (R, 5) of an image's index and corners, x1, y1, x2, y2."""

from __future__ import annotations

from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Value
from vggrepro.errors import NetError


def pooled_size(param: Any) -> tuple[int, int]:
    """``pooled_h`` and ``pooled_w`` of a layer's parameter. Raises NetError for those below 1."""
    if param.pooled_h < 1 or param.pooled_w < 1:
        raise NetError("pooled_h must be > 0, pooled_w must be > 0")
    return param.pooled_h, param.pooled_w


def region_rows(g: GraphBuilder, regions: Value) -> str:
    """The tensor with the rows, (R, 5). A blob (R, 5, 1, 1) holds them too."""
    return regions.name if regions.rank == 2 else g.op("Reshape", regions.name, g.ints([-1, 5]))


def cell_ends(g: GraphBuilder, first: str, last: str, number: int, size: int) -> tuple[str, str]:
    """Where the ``number`` cells of regions begin and end along an axis with ``size`` places, int64
    (R, number). ``first`` and ``last`` are the regions' own ends, whole numbers (R, 1). As ROIPooling, in
    float32: a cell has every place that it touches."""
    length = g.op("Max", g.op("Add", g.op("Sub", last, first), g.const(1)), g.const(1))
    length = g.op("Div", length, g.const(number))
    cells = np.arange(number)[None]
    begin = g.op("Floor", g.op("Mul", length, g.const(cells)))
    end = g.op("Ceil", g.op("Mul", length, g.const(cells + 1)))
    begin, end = (
        g.op("Cast", g.op("Clip", g.op("Add", edge, first), g.const(0), g.const(size)), to=INT64)
        for edge in (begin, end)
    )
    return begin, end


def rounded(g: GraphBuilder, x: str) -> str:
    """To whole numbers, half away from zero: C's round."""
    size = g.op("Abs", x)
    whole = g.op("Floor", size)
    up = g.op("Cast", g.op("GreaterOrEqual", g.op("Sub", size, whole), g.const(0.5)), to=FLOAT)
    return g.op("Mul", g.op("Sign", x), g.op("Add", whole, up))

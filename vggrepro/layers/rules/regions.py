"""Regions of interest as a bottom: rows (R, 5) of an image's index and corners, x1, y1, x2, y2."""

from __future__ import annotations

from typing import Any

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError


def pooled_size(param: Any) -> tuple[int, int]:
    """``pooled_h`` and ``pooled_w`` of a layer's parameter. Raises NetError for those below 1."""
    if param.pooled_h < 1 or param.pooled_w < 1:
        raise NetError("pooled_h must be > 0, pooled_w must be > 0")
    return param.pooled_h, param.pooled_w


def region_rows(g: GraphBuilder, regions: Value) -> str:
    """The tensor with the rows, (R, 5). A blob (R, 5, 1, 1) holds them too."""
    return regions.name if regions.rank == 2 else g.op("Reshape", regions.name, g.ints([-1, 5]))


def rounded(g: GraphBuilder, x: str) -> str:
    """To whole numbers, half away from zero: C's round."""
    size = g.op("Abs", x)
    whole = g.op("Floor", size)
    up = g.op("Cast", g.op("GreaterOrEqual", g.op("Sub", size, whole), g.const(0.5)), to=1)
    return g.op("Mul", g.op("Sign", x), g.op("Add", whole, up))

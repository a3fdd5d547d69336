"""The corners of slanted text that TextBoxes++ predicts beside a box: as nodes and in NumPy.

Four corners (x1, y1, ..., x4, y4) in the order of the prior box's own: upper left, upper right, lower right,
lower left. Source: MhLiao/TextBoxes_plusplus, ``DecodeBBoxPolygon``.
"""

from __future__ import annotations

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_code import Pairs, join_pairs, split_pairs

CORNERS = (0, 1, 2, 1, 2, 3, 0, 3)
"""Where the four corners' coordinates stand in a box (xmin, ymin, xmax, ymax)."""


def emit_quadrilaterals(g: GraphBuilder, coded: str, prior: Pairs, variances: str) -> str:
    """The corners (..., 8) of what a net predicts, (..., 8), for prior boxes with variances (..., 4)."""
    own = g.op("Gather", join_pairs(g, prior), g.ints(CORNERS), axis=-1)
    size = g.op("Sub", prior.second, prior.first)
    scale = g.op("Mul", size, split_pairs(g, variances).first)
    return g.op("Add", own, g.op("Mul", coded, g.op("Concat", *[scale] * 4, axis=-1)))


def quadrilaterals(coded: Array, prior: Array, variances: Array) -> Array:
    """The same in NumPy; all broadcast."""
    scale = (prior[..., 2:] - prior[..., :2]) * variances[..., :2]
    corners: Array = prior[..., CORNERS] + coded * np.concatenate([scale] * 4, axis=-1)
    return corners

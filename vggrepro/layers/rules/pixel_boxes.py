"""Boxes whose corners are pixels, the last ones included, as R-CNN and its kin have them: how far they
overlap, and how one is coded relative to another. As nodes and in NumPy.

A box (x1, y1, x2, y2) is ``x2 - x1 + 1`` wide. Sources: rbgirshick/py-faster-rcnn, ``bbox_overlaps`` and
``bbox_transform``; zhaoweicai/mscnn and zhaoweicai/cascade-rcnn, whose layers compute the same in C++.
"""

from __future__ import annotations

import numpy as np

from vggrepro.emit import DOUBLE, GraphBuilder
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_code import Pairs


def emit_box_overlap(g: GraphBuilder, a: Pairs, b: Pairs, least: float = 0.0) -> str:
    """Intersection over union, float64, of boxes whose pairs (..., 2) broadcast. Boxes that share less than
    ``least`` pixels in width or height share nothing.

    In float64, as py-faster-rcnn computes it, so that the same boxes are equally good as there.
    """
    one, zero = (g.const(number, np.float64) for number in (1, 0))
    a, b = (Pairs(*(g.op("Cast", part, to=DOUBLE) for part in pairs)) for pairs in (a, b))
    common = g.op("Sub", g.op("Min", a.second, b.second), g.op("Max", a.first, b.first))
    common = g.op("Max", g.op("Add", common, one), zero)
    if least:
        common = g.op("Where", g.op("Less", common, g.const(least, np.float64)), zero, common)
    shared = _product(g, common)
    areas = [_product(g, g.op("Add", g.op("Sub", pairs.second, pairs.first), one)) for pairs in (a, b)]
    return g.op("Div", shared, g.op("Sub", g.op("Add", *areas), shared))


def _product(g: GraphBuilder, pairs: str) -> str:
    """Of x and y, (..., 2)."""
    x, y = g.ops("Split", pairs, outputs=2, axis=-1, num_outputs=2)
    return g.op("Squeeze", g.op("Mul", x, y), g.ints([-1]))


def box_overlap(a: Array, b: Array, least: float = 0.0) -> Array:
    """The same in NumPy, of boxes (..., 4) that broadcast."""
    common = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1, 0)
    shared = np.where(common < least, 0, common).prod(-1)
    areas = [(box[..., 2:] - box[..., :2] + 1).prod(-1) for box in (a, b)]
    overlaps: Array = shared / (areas[0] + areas[1] - shared)
    return overlaps


def emit_box_targets(g: GraphBuilder, boxes: str, right: str) -> str:
    """What a net should predict of ``boxes`` (..., 4) so that they become the ``right`` ones: shifts of the
    centre in units of the sides, and the logarithms of how much longer the sides are. float32 (..., 4)."""
    sides, centres = [], []
    for corners in (boxes, right):
        first, last = g.ops("Split", corners, outputs=2, axis=-1, num_outputs=2)
        sides.append(g.op("Add", g.op("Sub", last, first), g.const(1)))
        centres.append(g.op("Add", first, g.op("Mul", sides[-1], g.const(0.5))))
    shift = g.op("Div", g.op("Sub", centres[1], centres[0]), sides[0])
    return g.op("Concat", shift, g.op("Log", g.op("Div", sides[1], sides[0])), axis=-1)


def box_targets(boxes: Array, right: Array) -> Array:
    """The same in NumPy."""
    sides = [corners[..., 2:] - corners[..., :2] + 1 for corners in (boxes, right)]
    centres = [corners[..., :2] + side / 2 for corners, side in zip((boxes, right), sides, strict=True)]
    shift = (centres[1] - centres[0]) / sides[0]
    coded: Array = np.concatenate([shift, np.log(sides[1] / sides[0])], axis=-1)
    return coded

"""Which candidates of SSD's DetectionOutput stay beside surer ones, as nodes."""

from __future__ import annotations

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.layers.rules.box_code import Pairs, join_pairs, split_pairs
from vggrepro.layers.rules.element_count import Size, sizes


def emit_stays(
    g: GraphBuilder, boxes: str, scores: str, many: Size, confidence_threshold: float, nms_threshold: float
) -> str:
    """Which of the boxes (N, classes, many, 4), of each class the surest first, stay: bool, of the shape of
    their scores (N, classes, many). One stays if its score is above ``confidence_threshold`` and it overlaps
    no surer one that stayed by more than ``nms_threshold``.

    Ranks stand for the scores, so that ties are settled already. Boxes whose corners are the wrong
    way round overlap nothing in SSD, and so without an area.
    """
    first, second = split_pairs(g, boxes)
    sane = join_pairs(g, Pairs(first, g.op("Max", first, second)))
    sure = g.op("Greater", scores, g.const(confidence_threshold))
    ranks = g.op("Where", sure, _falling(g, many), g.const(0))
    flat = g.op("Reshape", ranks, sizes(g, -1, many))  # (N * classes, many)
    selected = g.op(
        "NonMaxSuppression",
        g.op("Reshape", sane, sizes(g, -1, many, 4)),
        g.op("Unsqueeze", flat, g.ints([1])),
        sizes(g, many),
        g.const([min(nms_threshold, 1.0)]),
        g.const([0.5]),
    )
    where = g.op("Gather", selected, g.ints([0, 2]), axis=1)
    ones = g.op("Expand", g.const(1), g.op("Shape", where, end=1))
    zeros = g.op("Expand", g.const(0), g.op("Shape", flat))
    stays = g.op("Reshape", g.op("ScatterND", zeros, where, ones), g.op("Shape", scores))
    return g.op("Greater", stays, g.const(0))


def _falling(g: GraphBuilder, many: Size) -> str:
    """many, many - 1, ..., 1: float32 (many,)."""
    if isinstance(many, int):
        return g.const(np.arange(many, 0, -1))
    rising = g.op("Range", g.ints(0), g.op("Squeeze", many, g.ints([0])), g.ints(1))
    return g.op("Cast", g.op("Sub", many, rising), to=FLOAT)

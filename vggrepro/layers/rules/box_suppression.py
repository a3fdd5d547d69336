"""Which candidates of SSD's DetectionOutput stay beside surer ones, as nodes."""

from __future__ import annotations

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_code import Pairs, join_pairs, split_pairs


def emit_stays(
    g: GraphBuilder, boxes: str, scores: str, many: int, confidence_threshold: float, nms_threshold: float
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
    ranks = g.op("Where", sure, g.const(np.arange(many, 0, -1)), g.const(0))
    flat = g.op("Reshape", ranks, g.ints([-1, many]))  # (N * classes, many)
    selected = g.op(
        "NonMaxSuppression",
        g.op("Reshape", sane, g.ints([-1, many, 4])),
        g.op("Unsqueeze", flat, g.ints([1])),
        g.ints([many]),
        g.const([min(nms_threshold, 1.0)]),
        g.const([0.5]),
    )
    where = g.op("Gather", selected, g.ints([0, 2]), axis=1)
    ones = g.op("Expand", g.const(1), g.op("Shape", where, end=1))
    zeros = g.op("Expand", g.const(0), g.op("Shape", flat))
    stays = g.op("Reshape", g.op("ScatterND", zeros, where, ones), g.op("Shape", scores))
    return g.op("Greater", stays, g.const(0))

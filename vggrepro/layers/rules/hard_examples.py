"""Which boxes of an image a loss counts, where it counts only the hardest: as nodes and in NumPy.

Source: weiliu89/caffe, branch ssd, ``MineHardExamples``; "Training Region-based Object Detectors with Online
Hard Example Mining" for HARD_EXAMPLE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.layers.base import Array
from vggrepro.layers.rules.pooling_nodes import LOWEST

Flags = npt.NDArray[np.bool_]


class Boxes(NamedTuple):
    """Tensors of the graph, (N, P)."""

    matched: str
    """Whether a box stands for an object, bool."""
    may_count: str
    """Whether it may stand for the background, bool."""
    best: str
    """Its largest overlap with an object."""
    losses: str
    """Of the confidences."""
    place_losses: str
    """Of the places, 0 for those that are not matched."""


class Counted(NamedTuple):
    """Which boxes count in the losses: tensors of the graph, bool (N, P)."""

    matched: str
    """Those that stand for a right box."""
    every: str
    """These and those that count for the background."""


@dataclass(frozen=True)
class HardExamples:
    """What ``mining_type`` says.

    MAX_NEGATIVE: besides the boxes that are matched those count whose loss is largest, ``ratio`` for each
    that is matched, of those that overlap no object by ``overlap`` or more. HARD_EXAMPLE: of all boxes of an
    image with objects the ``sample_size`` with the largest loss, that of the places included. NONE: all. Of
    equal losses the first counts.
    """

    mining: str
    ratio: float
    overlap: float
    sample_size: int

    def emit(self, g: GraphBuilder, boxes: Boxes, objects: str, priors: int) -> Counted | None:
        """``objects``: whether an image has any, bool (N, 1). None: all count."""
        if self.mining == "NONE":
            return None
        if self.mining == "MAX_NEGATIVE":
            eligible = g.op("And", boxes.may_count, g.op("Less", boxes.best, g.const(self.overlap)))
            number = g.op("ReduceSum", g.op("Cast", boxes.matched, to=FLOAT), g.ints([1]))
            many = g.op("Floor", g.op("Mul", number, g.const(self.ratio)))  # (N, 1)
            chosen = emit_hardest(g, boxes.losses, eligible, many, priors)
            return Counted(boxes.matched, g.op("Or", boxes.matched, chosen))
        losses = g.op("Add", boxes.losses, boxes.place_losses)
        chosen = emit_hardest(g, losses, objects, g.const([[self.sample_size]]), priors)
        every = g.op("And", chosen, g.op("Or", boxes.matched, boxes.may_count))
        return Counted(g.op("And", boxes.matched, chosen), every)

    def reference(
        self, matched: Flags, may_count: Flags, best: Array, losses: Array, place_losses: Array
    ) -> tuple[Flags, Flags]:
        """The same in NumPy for one image with objects, arrays (P): what stays matched, and what counts."""
        if self.mining == "NONE":
            return matched, np.ones_like(matched)
        if self.mining == "MAX_NEGATIVE":
            eligible = ~matched & (best < self.overlap) & may_count
            many = int(np.float32(matched.sum()) * np.float32(self.ratio))
            return matched, matched | hardest(losses, eligible, many)
        chosen = hardest(losses + place_losses, np.ones_like(matched), self.sample_size)
        return matched & chosen, chosen & (matched | may_count)


def emit_hardest(g: GraphBuilder, losses: str, eligible: str, many: str, boxes: int) -> str:
    """In each row of ``losses`` (N, boxes) the ``many`` largest of those that are ``eligible``, or all of
    them if there are fewer: bool (N, boxes)."""
    judged = g.op("Where", eligible, losses, g.const(LOWEST))
    values, order = g.ops("TopK", judged, g.ints([boxes]), outputs=2, axis=1)
    first = g.op("Less", g.const(np.arange(boxes)), many)
    chosen = g.op("And", first, g.op("Greater", values, g.const(LOWEST)))
    marks = g.op("ScatterElements", judged, order, g.op("Cast", chosen, to=FLOAT), axis=1)
    return g.op("Greater", marks, g.const(0.5))


def hardest(losses: Array, eligible: Flags, many: int) -> Flags:
    """The same in NumPy for one row."""
    order = np.argsort(-losses, kind="stable")
    chosen = np.zeros(len(losses), bool)
    chosen[order[eligible[order]][:many]] = True
    return chosen

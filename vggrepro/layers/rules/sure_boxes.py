"""Of each image the boxes that a net is sure of, without those that overlap a surer one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_code import suppressed
from vggrepro.layers.rules.pooling_nodes import LOWEST

ROW = 6
"""Index of the image, x1, y1, x2, y2, score."""


class Candidates(NamedTuple):
    """The P boxes of each image that may be given: tensors of the graph."""

    boxes: str
    """(N, P, 4)."""
    scores: str
    """(N, P); ``LOWEST`` for what is no candidate."""


@dataclass(frozen=True)
class SureBoxes:
    """Of each image's ``most`` surest boxes one stays unless it overlaps a surer one that stayed by more than
    ``threshold``; of these the ``kept`` surest. 0 stands for all. Of equal scores the first box is the
    surest, or with ``last_first`` the last one. With ``pixels`` a box's last pixels are included.
    """

    threshold: float
    most: int = 0
    kept: int = 0
    pixels: bool = False
    last_first: bool = False

    def number(self, boxes: int) -> int:
        """How many of ``boxes`` candidates an image may keep."""
        return self.kept or self.most or boxes

    @property
    def _pixel(self) -> int:
        return 1 if self.pixels else 0

    def emit(self, g: GraphBuilder, found: Candidates, number: int) -> tuple[str, str]:
        """Rows (N * number, 6), image by image, the surest first, then 0; and how many there are, int64
        (1). NonMaxSuppression gets ranks in place of scores, so that ties are settled already."""
        places = g.op("Shape", found.scores, start=1)
        most = g.op("Min", places, g.ints([self.most])) if self.most else places
        boxes, scores = (self._ordered(g, x) for x in found)
        scores, index = g.ops("TopK", scores, most, outputs=2, axis=1)
        boxes = g.op("GatherND", boxes, g.op("Unsqueeze", index, g.ints([2])), batch_dims=1)
        ranks = g.op("Range", g.op("Squeeze", most, g.ints([0])), g.ints(0), g.ints(-1))
        ranks = g.op(
            "Where", g.op("Greater", scores, g.const(LOWEST)), g.op("Cast", ranks, to=FLOAT), g.const(0)
        )
        chosen = g.op(
            "NonMaxSuppression",
            g.op("Add", boxes, g.const([0, 0, self._pixel, self._pixel])),
            g.op("Unsqueeze", ranks, g.ints([1])),
            g.ints([number]),
            g.const([min(self.threshold, 1)]),
            g.const([0.5]),
        )
        place = g.op("Gather", chosen, g.ints([0, 2]), axis=1)
        image = g.op("Cast", g.op("Gather", chosen, g.ints([0]), axis=1), to=FLOAT)
        score = g.op("Unsqueeze", g.op("GatherND", scores, place), g.ints([1]))
        rows = g.op("Concat", image, g.op("GatherND", boxes, place), score, axis=1)
        stays = g.op("Shape", rows, end=1)
        size = g.op("Mul", g.op("Shape", scores, end=1), g.ints([number]))
        missing = g.op("Sub", size, stays)
        return g.op("Pad", rows, g.op("Concat", g.ints([0, 0]), missing, g.ints([0]), axis=0)), stays

    def _ordered(self, g: GraphBuilder, candidates: str) -> str:
        """Boxes or scores (N, P, ...), of equal ones the surest first."""
        if not self.last_first:
            return candidates
        end = g.ints([np.iinfo(np.int64).min])
        return g.op("Slice", candidates, g.ints([-1]), end, g.ints([1]), g.ints([-1]))

    def reference(self, boxes: Array, scores: Array) -> Array:
        """Of one image's boxes (P, 4) and scores (P) those that stay: rows (K, 5) of box and score."""
        places = np.arange(len(scores))
        order = np.lexsort((-places if self.last_first else places, -scores))[: self.most or None]
        order = order[scores[order] > LOWEST]
        stays = suppressed(boxes[order] + [0, 0, self._pixel, self._pixel], self.threshold)
        order = order[stays[: self.kept or None]]
        return np.column_stack([boxes[order], scores[order]])


def check_suppression(mode: str) -> None:
    """Raises UnsupportedError for a ``nms_type`` that is not intersection over union."""
    if mode != "IOU":
        raise UnsupportedError(f"nms_type {mode!r} is not implemented, only 'IOU'")

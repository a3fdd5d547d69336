"""Which box of the ground truth each prior box stands for, as SSD matches them: as nodes and in NumPy.

Source: weiliu89/caffe, branch ssd, ``MatchBBox``; section 2.2 of "SSD: Single Shot MultiBox Detector".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, INT64, Dims, GraphBuilder, Value
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_code import BoxCode, Pairs, emit_overlap, join_pairs, overlap, split_pairs
from vggrepro.layers.rules.element_count import axis_places, axis_size
from vggrepro.layers.rules.right_boxes import BoxTables, RightBoxes

LEAST = 1e-6
"""Overlaps up to this one are none."""


class Matches(NamedTuple):
    """For each prior of each image, (N, P): tensors of the graph."""

    place: str
    """Which of the image's boxes it stands for, int64; -1 for none."""
    best: str
    """Its largest overlap with one of them."""


class Predicted(NamedTuple):
    """What a net predicts and what it predicts it of: tensors of the graph, (1 or N, P, ...)."""

    coded: str
    prior: Pairs
    variances: str


@dataclass(frozen=True)
class BoxMatching:
    """How ``multibox_loss_param`` says that priors are matched."""

    code: BoxCode
    threshold: float | None = 0.5
    """From which overlap on further priors stand for a box; None: none do (BIPARTITE)."""
    by_prior: bool = True
    """Whether priors are matched, not the places that are predicted."""
    inside_only: bool = False
    """Whether boxes that reach out of the image stand for nothing."""

    def emit(
        self, g: GraphBuilder, predicted: Predicted, truth: BoxTables, dims: Dims
    ) -> tuple[Matches, str | None]:
        """The matches, and which priors may count, bool (1 or N, P), None for all. ``dims``: N, None, P."""
        boxes = predicted.prior
        if not self.by_prior:
            boxes = self.code.emit_box(g, predicted.coded, boxes, predicted.variances)
        own = split_pairs(g, g.op("Unsqueeze", truth.boxes, g.ints([2])))
        overlaps = emit_overlap(g, own, Pairs(*(g.op("Unsqueeze", part, g.ints([1])) for part in boxes)))
        real = g.op("Unsqueeze", truth.real, g.ints([2]))
        some = g.op("And", g.op("Greater", overlaps, g.const(LEAST)), real)
        inside = self._inside(g, join_pairs(g, boxes)) if self.inside_only else None
        if inside is not None:
            some = g.op("And", some, g.op("Unsqueeze", inside, g.ints([1])))
        overlaps = g.op("Where", some, overlaps, g.const(0))  # (N, K, P)
        return emit_matches(g, Value(overlaps, dims), self.threshold), inside

    def _inside(self, g: GraphBuilder, boxes: str) -> str:
        outside = g.op("Or", g.op("Less", boxes, g.const(0)), g.op("Greater", boxes, g.const(1)))
        some = g.op("ReduceMax", g.op("Cast", outside, to=FLOAT), g.ints([2]), keepdims=0)
        return g.op("Less", some, g.const(0.5))

    def reference(
        self, coded: Array, prior: Array, variances: Array, truth: RightBoxes
    ) -> tuple[npt.NDArray[np.int64], Array, npt.NDArray[np.bool_]]:
        """In NumPy for one image, (P): places, largest overlaps, and which priors may count."""
        boxes = prior if self.by_prior else self.code.box(coded, prior, variances)
        outside = np.logical_and(((boxes < 0) | (boxes > 1)).any(1), self.inside_only)
        overlaps = np.where(outside, 0, overlap(truth.boxes[:, None], boxes))
        return matches(overlaps, self.threshold), overlaps.max(0), ~outside


def emit_matches(g: GraphBuilder, overlaps: Value, threshold: float | None) -> Matches:
    """First each box gets a prior: the pair that overlaps most is taken out, until no two overlap. Then each
    prior that is left takes the box it overlaps most, if by ``threshold`` at least; None stops before. Of
    equal overlaps the first prior counts, then the first box.

    ``overlaps`` is (N, K, P), with 0 for those of ``LEAST`` at most. A round of the loop takes all pairs that
    are best for both: one after another they would be taken too, and change nothing for each other.
    """
    none = g.op("Cast", g.op("Sub", _places(g, overlaps.name), g.const(1)), to=INT64)  # (N, P + 1): -1
    number = axis_size(g, overlaps.name, 1)
    states = [overlaps, Value(none, (overlaps.dims[0], None), np.int64)]
    place = g.loop(number, states, _round)[1]
    best = g.op("ReduceMax", overlaps.name, g.ints([1]), keepdims=0)
    place = g.op("Slice", place, g.ints([0]), g.ints([-1]), g.ints([1]))
    place = g.op("Reshape", place, g.op("Shape", best))  # ONNX infers no shapes through a loop
    if threshold is None:
        return Matches(place, best)
    enough = g.op("GreaterOrEqual", best, g.const(max(threshold, LEAST)))
    nearest = g.op("ArgMax", overlaps.name, axis=1, keepdims=0)
    own = g.op("Where", enough, nearest, g.ints(-1))
    return Matches(g.op("Where", g.op("Less", place, g.ints(0)), own, place), best)


def _places(g: GraphBuilder, overlaps: str) -> str:
    """Zeros (N, P + 1): one place more, for boxes that get no prior in a round."""
    one = g.op("ReduceMax", g.op("Mul", overlaps, g.const(0)), g.ints([1]), keepdims=0)
    return g.op("Pad", one, g.ints([0, 0, 0, 1]))


def _round(g: GraphBuilder, states: Sequence[str]) -> tuple[str, Sequence[str]]:
    """One round: the pairs that are best for box and prior are noted, and leave."""
    overlaps, index = states
    place = g.op("ArgMax", overlaps, axis=2, keepdims=0)  # (N, K): the best prior of each box
    truth = g.op("ArgMax", overlaps, axis=1, keepdims=0)  # (N, P): the best box of each prior
    some = g.op("Greater", g.op("ReduceMax", overlaps, g.ints([2]), keepdims=0), g.const(0))
    last, own = axis_size(g, overlaps, 2), axis_places(g, overlaps, 1)
    mutual = g.op("And", some, g.op("Equal", g.op("GatherElements", truth, place, axis=1), own))
    where = g.op("Where", mutual, place, last)
    index = g.op("ScatterElements", index, where, g.op("Expand", own, g.op("Shape", place)), axis=1)
    free = g.op("Less", g.op("Slice", index, g.ints([0]), g.ints([-1]), g.ints([1])), g.ints(0))
    left = g.op(
        "And", g.op("Unsqueeze", free, g.ints([1])), g.op("Unsqueeze", g.op("Not", mutual), g.ints([2]))
    )
    found = g.op("ReduceMax", g.op("Cast", mutual, to=FLOAT), keepdims=0)
    return g.op("Greater", found, g.const(0)), [g.op("Where", left, overlaps, g.const(0)), index]


def matches(overlaps: Array, threshold: float | None) -> npt.NDArray[np.int64]:
    """The same in NumPy for one image, pair by pair: overlaps (K, P), indices (P)."""
    left = np.where(overlaps > LEAST, overlaps, 0).T  # (P, K)
    index = np.full(len(left), -1, np.int64)
    best, nearest = left.max(1), left.argmax(1)
    left = left.copy()
    while left.max() > 0:
        place, truth = np.unravel_index(left.argmax(), left.shape)
        index[place] = truth
        left[place] = left[:, truth] = 0
    if threshold is not None:
        enough = (index < 0) & (best >= max(threshold, LEAST))
        index[enough] = nearest[enough]
    return index

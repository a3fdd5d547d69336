"""Which regions a detection network learns from, and what it should say of them, as nodes and in NumPy.

Sources: rbgirshick/py-faster-rcnn, ``rpn.proposal_target_layer``; zhaoweicai/mscnn and
zhaoweicai/cascade-rcnn, ProposalTarget. Section 2.3 of "Fast R-CNN" for what it is for.

DEVIATION: how many regions there are depends on the data, a top's shape here does not. Where there are fewer
than the batch wants, they are taken again in turns, so that averages over the batch stay what they are; the
C++ layers draw boxes at random instead. Regions whose corners are all 0 are those that fill up the tops of
Proposal, BoxOutput and DecodeBBox: they are no candidates. Nor is a right box without a label above 0, or
with the image -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_code import Pairs, split_pairs
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.pixel_boxes import box_overlap, box_targets, emit_box_overlap, emit_box_targets
from vggrepro.layers.rules.sampling import (
    GROUP,
    INDEX,
    LAST,
    Flags,
    Sampling,
    chosen,
    emit_any,
    emit_chosen,
    emit_number,
)

NEUTRAL = BoxStatistics()


class RegionTruth(NamedTuple):
    """The right boxes: tensors of the graph, or arrays."""

    rows: Any
    """(G, 5): the index of the image and the corners."""
    labels: Any
    """(G)."""
    real: Any
    """bool (G)."""
    ignored: Any
    """bool (G): regions that stand for these are left out."""


class Drawn(NamedTuple):
    """The R regions of a batch: tensors of the graph, or arrays."""

    rows: Any
    """(R, 5)."""
    labels: Any
    """(R): 0 for the background."""
    targets: Any
    """(R, 4)."""
    overlaps: Any
    """(R): with the box that the region stands for."""
    own: Any
    """(R, 4): that box."""


@dataclass(frozen=True)
class RegionSampling:
    """A region stands for the box of its image that it overlaps most. From an overlap of ``object_from`` on
    it is an object; the others are the background if it is ``background_from`` or more, and less than
    ``background_to``. ``batch`` regions are drawn, at most ``most_objects`` of them objects."""

    sampling: Sampling
    batch: int | None = 128
    """None: all objects and all of the background."""
    most_objects: int = 32
    object_from: float = 0.5
    background_from: float = 0.0
    background_to: float = 0.5
    statistics: BoxStatistics = NEUTRAL
    fills: bool = False
    """Whether regions that are neither fill up the batch, the first ones first."""
    appends: bool = True
    """Whether the right boxes are candidates too."""

    def number(self, regions: int, boxes: int) -> int:
        """How many regions there are in a batch, R, of so many candidates and right boxes."""
        return self.batch or regions + boxes * self.appends

    def emit(
        self, g: GraphBuilder, regions: str, truth: RegionTruth, state: str, number: int, least: float = 0.0
    ) -> Drawn:
        """``regions``: (P, 5). ``least``: see :func:`emit_box_overlap`."""
        corners = g.op("Slice", regions, g.ints([1]), g.ints([5]), g.ints([1]))
        candidates = emit_any(g, g.op("Not", g.op("Equal", corners, g.const(0))), 1)
        if self.appends:
            regions = g.op("Concat", regions, truth.rows, axis=0)
            candidates = g.op("Concat", candidates, truth.real, axis=0)
        image, corners = g.ops("Split", regions, g.ints([1, 4]), outputs=2, axis=1)
        image_of, right = g.ops("Split", truth.rows, g.ints([1, 4]), outputs=2, axis=1)
        same = g.op("Equal", image, g.op("Reshape", image_of, g.ints([1, -1])))  # (M, G)
        pairs = Pairs(*(g.op("Unsqueeze", part, g.ints([1])) for part in split_pairs(g, corners)))
        overlaps = emit_box_overlap(g, pairs, split_pairs(g, right), least)
        overlaps = g.op("Where", g.op("And", same, truth.real), overlaps, g.const(-1, np.float64))
        best = g.op("Max", g.op("ReduceMax", overlaps, g.ints([1]), keepdims=0), g.const(0, np.float64))
        match = g.op("ArgMax", overlaps, axis=1, keepdims=0)
        objects, index = self._drawn(g, candidates, best, g.op("Gather", truth.ignored, match), state, number)
        rows, own = g.op("Gather", regions, index), g.op("Gather", right, g.op("Gather", match, index))
        label = g.op("Gather", truth.labels, g.op("Gather", match, index))
        targets = emit_box_targets(g, g.op("Slice", rows, g.ints([1]), g.ints([5]), g.ints([1])), own)
        return Drawn(
            rows,
            g.op("Where", g.op("Gather", objects, index), label, g.const(0)),
            self.statistics.emit_coded(g, targets),
            g.op("Cast", g.op("Gather", best, index), to=FLOAT),
            own,
        )

    def _drawn(
        self, g: GraphBuilder, candidates: str, best: str, ignored: str, state: str, number: int
    ) -> tuple[str, str]:
        """Which of the M candidates are objects of the batch, bool (M), and the indices of the batch (R)."""
        sure, low, high = (
            g.op("GreaterOrEqual", best, g.const(edge, np.float64))
            for edge in (self.object_from, self.background_from, self.background_to)
        )
        others = g.op("And", candidates, g.op("Not", sure))
        background = g.op("And", others, g.op("And", low, g.op("Not", high)))
        objects = g.op("And", candidates, g.op("And", sure, g.op("Not", ignored)))
        objects, background, others = (
            g.op("Unsqueeze", flags, g.ints([0])) for flags in (objects, background, others)
        )
        keys = self.sampling.emit_keys(g, Value(others, (1, None)), state)
        if self.batch is not None:
            objects = emit_chosen(g, objects, keys, g.const([[self.most_objects]], np.int64))
        order = g.op("Where", background, g.op("Add", keys, g.ints(GROUP)), g.ints(LAST))
        used = g.op("Or", objects, background)
        if self.fills:
            spare = g.op("And", others, g.op("Not", background))
            place = g.op("Add", g.op("Mod", keys, g.ints(INDEX)), g.ints(2 * GROUP))
            order, used = g.op("Where", spare, place, order), g.op("Or", used, spare)
        order = g.op("Where", objects, keys, order)
        most = g.op("Min", g.op("Shape", order, start=1), g.ints([number]))
        _, index = g.ops("TopK", order, most, outputs=2, axis=1, largest=0)
        found = g.op(
            "Max", g.op("Min", g.op("Squeeze", emit_number(g, used), g.ints([0])), most), g.ints([1])
        )
        turns = g.op("Mod", g.ints(range(number)), found)
        flat = g.op("Reshape", index, g.ints([-1]))
        return g.op("Squeeze", objects, g.ints([0])), g.op("Gather", flat, turns)

    def reference(
        self, regions: Array, truth: RegionTruth, state: Any, number: int, least: float = 0.0
    ) -> Drawn:
        """The same in NumPy."""
        candidates = (regions[:, 1:] != 0).any(1)
        if self.appends:
            regions = np.concatenate([regions, truth.rows])
            candidates = np.concatenate([candidates, truth.real])
        overlaps = box_overlap(regions[:, None, 1:], truth.rows[:, 1:], least)
        overlaps = np.where((regions[:, :1] == truth.rows[:, 0]) & truth.real, overlaps, -1)
        best, match = np.maximum(overlaps.max(1), 0), overlaps.argmax(1)
        objects, index = self._reference_drawn(candidates, best, truth.ignored[match], state, number)
        own = truth.rows[match[index], 1:]
        return Drawn(
            regions[index],
            np.where(objects[index], truth.labels[match[index]], 0),
            self.statistics.coded(box_targets(regions[index, 1:], own)),
            best[index],
            own,
        )

    def _reference_drawn(
        self, candidates: Flags, best: Array, ignored: Flags, state: Any, number: int
    ) -> tuple[Flags, Any]:
        keys = self.sampling.draw_keys(1, len(best), state)[0]
        sure = best >= self.object_from
        background = candidates & ~sure & (best >= self.background_from) & (best < self.background_to)
        objects = candidates & sure & ~ignored
        if self.batch is not None:
            objects = chosen(objects, keys, self.most_objects)
        groups = [np.flatnonzero(flags) for flags in (objects, background)]
        index = np.concatenate([group[np.argsort(keys[group])] for group in groups])
        if self.fills:
            index = np.concatenate([index, np.flatnonzero(candidates & ~sure & ~background)])
        index = index[:number] if len(index) else np.zeros(1, np.int64)
        return objects, index[np.arange(number) % len(index)]


def emit_by_class(g: GraphBuilder, numbers: str, labels: str, classes: int) -> str:
    """Numbers (R, 4) or (R, 1) in the columns of each region's class, for all classes (R, 4 * classes);
    regions of the background have none."""
    columns = g.op("Equal", g.op("Unsqueeze", labels, g.ints([1])), g.const(np.arange(classes)))
    columns = g.op("And", columns, g.op("Greater", g.op("Unsqueeze", labels, g.ints([1])), g.const(0)))
    own = g.op("Unsqueeze", g.op("Expand", numbers, g.ints([1, 4])), g.ints([1]))
    spread = g.op("Where", g.op("Unsqueeze", columns, g.ints([2])), own, g.const(0))
    return g.op("Reshape", spread, g.ints([0, 4 * classes]))


def by_class(numbers: Array, labels: Array, classes: int) -> Array:
    """The same in NumPy."""
    spread = np.zeros((len(labels), classes, 4))
    for row, (own, label) in enumerate(zip(numbers, labels.astype(int), strict=True)):
        if label > 0:
            spread[row, label] = own
    return spread.reshape(len(labels), -1)


def column(g: GraphBuilder, rows: str, index: int) -> str:
    """A column of rows (K, C): (K)."""
    return g.op("Gather", rows, g.ints(index), axis=1)


def four_axes(*shapes: Shape) -> tuple[Shape, ...]:
    """Shapes with sizes of 1 behind them."""
    return tuple((*shape, *(1,) * (4 - len(shape))) for shape in shapes)


def emit_four_axes(g: GraphBuilder, rows: str, rank: int) -> str:
    """A tensor of ``rank`` axes with sizes of 1 behind them."""
    return g.op("Unsqueeze", rows, g.ints(list(range(rank, 4))))

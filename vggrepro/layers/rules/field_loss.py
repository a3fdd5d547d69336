"""The loss of MS-CNN's proposal networks, whose places each predict classes and one box around a field of
fixed sides: as nodes and in NumPy.

Sources: zhaoweicai/mscnn, DetectionLoss; zhaoweicai/cascade-rcnn, DetectionGroupLoss. Section 3.2 of "A
Unified Multi-scale Deep Convolutional Neural Network for Fast Object Detection".

All tensors below are (N, K, ..., S): N images, K fields at each of S places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, INT64, GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.loss import FLT_MIN
from vggrepro.layers.rules.placed_fields import PlacedFields

SHORTEST = 2.0
"""Sides of right boxes count as at least that many pixels."""


class Maps(NamedTuple):
    """What is predicted and what is right: tensors of the graph, or arrays."""

    scores: Any
    """(N, K, C, S): of classes, that of the background first."""
    coded: Any
    """(N, K, 4, S): x, y, width and height."""
    label: Any
    """(N, K, S): 0 for the background."""
    box: Any
    """(N, K, 4, S): centre, width and height of the right box, in pixels."""
    overlap: Any
    """(N, K, S): of the field with the nearest right box."""


class Slopes(NamedTuple):
    """Gradients of both averages: tensors of the graph."""

    scores: str
    coded: str


@dataclass(frozen=True)
class FieldLoss:
    """The average over the places that count of ``-weight * log(softmax(scores)[label])``, plus ``balance``
    times the average over the four numbers of each object that counts of the loss of its box: half the square
    of the difference from the right code, or with ``smooth`` its size less a half where that is 1 or more."""

    classes: int
    fields: PlacedFields
    statistics: BoxStatistics
    balance: float = 1.0
    smooth: bool = True
    binary: bool = False
    """Whether all labels above 0 are 1 (``objectness``)."""

    def __post_init__(self) -> None:
        if self.classes < 2 or (self.binary and self.classes != 2):
            raise NetError(f"cls_num must be 2 or more, and 2 with objectness, got {self.classes}")

    def emit(
        self, g: GraphBuilder, maps: Maps, kept: str, weights: str, size: tuple[int, int]
    ) -> tuple[str, Slopes]:
        """The loss and the part of it that is boxes', (1, 1, 1, 2). ``kept``: which places count, bool (N, K,
        S); ``weights`` (N, K, S); ``size``: height and width of the maps."""
        prob = g.op("Softmax", maps.scores, axis=2)
        label = g.op("Cast", maps.label, to=INT64)
        own = g.op("Min", label, g.ints(1)) if self.binary else label
        classes = g.const(np.arange(self.classes)[:, None], np.int64)
        right = g.op("Cast", g.op("Equal", g.op("Unsqueeze", own, g.ints([2])), classes), to=FLOAT)
        of_label = g.op("ReduceSum", g.op("Mul", prob, right), g.ints([2]), keepdims=0)
        counted = g.op("Where", kept, weights, g.const(0))
        losses = g.op("Mul", g.op("Log", g.op("Max", of_label, g.const(FLT_MIN))), counted)
        objects = g.op("And", kept, g.op("Not", g.op("Equal", label, g.ints(0))))
        numbers = [_number(g, kept, 1), _number(g, objects, 4)]
        of_classes = g.op("Div", g.op("ReduceSum", losses, keepdims=0), g.op("Neg", numbers[0]))
        difference = self._difference(g, maps, objects, size)
        size_of = g.op("Abs", difference)
        near = g.op("Min", size_of, g.const(1)) if self.smooth else size_of
        of_places = g.op("Mul", near, g.op("Sub", size_of, g.op("Mul", near, g.const(0.5))))
        of_boxes = g.op("Div", g.op("ReduceSum", of_places, keepdims=0), numbers[1])
        of_boxes = g.op("Mul", of_boxes, g.const(self.balance))
        ends = [g.op("Reshape", x, g.ints([1])) for x in (g.op("Add", of_classes, of_boxes), of_boxes)]
        slope = g.op("Clip", difference, g.const(-1), g.const(1)) if self.smooth else difference
        slopes = (
            g.op("Mul", g.op("Sub", prob, right), g.op("Unsqueeze", counted, g.ints([2]))),
            g.op("Mul", slope, g.const(self.balance)),
        )
        top = g.op("Reshape", g.op("Concat", *ends, axis=0), g.ints([1, 1, 1, 2]))
        return top, Slopes(*(g.op("Div", x, number) for x, number in zip(slopes, numbers, strict=True)))

    def _difference(self, g: GraphBuilder, maps: Maps, objects: str, size: tuple[int, int]) -> str:
        """Of objects' codes from the right ones, (N, K, 4, S); 0 elsewhere."""
        centres, sides = self.fields.grid(size)
        middle, length = g.ops("Split", maps.box, outputs=2, axis=2, num_outputs=2)
        shift = g.op("Div", g.op("Sub", middle, g.const(centres)), g.const(sides))
        stretch = g.op("Log", g.op("Div", g.op("Max", length, g.const(SHORTEST)), g.const(sides)))
        mean, std = (np.reshape(x, (4, 1)) for x in (self.statistics.mean, self.statistics.deviation))
        right = g.op("Div", g.op("Sub", g.op("Concat", shift, stretch, axis=2), g.const(mean)), g.const(std))
        coded = maps.coded
        if (limits := self.fields.limits(self.statistics)) is not None:
            coded = g.op("Min", g.op("Max", coded, g.const(limits[0])), g.const(limits[1]))
        counts = g.op("Unsqueeze", objects, g.ints([2]))
        return g.op("Where", counts, g.op("Sub", coded, right), g.const(0))

    def reference(
        self, maps: Maps, kept: npt.NDArray[np.bool_], weights: Array, size: tuple[int, int]
    ) -> Array:
        """The top in NumPy."""
        powers = np.exp(maps.scores - maps.scores.max(2, keepdims=True))
        prob = powers / powers.sum(2, keepdims=True)
        label = maps.label.astype(int)
        own = np.minimum(label, 1) if self.binary else label
        of_label = np.take_along_axis(prob, np.where(kept, own, 0)[:, :, None], axis=2)[:, :, 0]
        losses = -np.log(np.maximum(of_label, FLT_MIN)) * weights
        objects = kept & (label != 0)
        centres, sides = self.fields.grid(size)
        shift = (maps.box[:, :, :2] - centres) / sides
        stretch = np.log(np.maximum(maps.box[:, :, 2:], SHORTEST) / sides)
        right = np.moveaxis(
            self.statistics.coded(np.moveaxis(np.concatenate([shift, stretch], 2), 2, 3)), 3, 2
        )
        limits = self.fields.limits(self.statistics)
        coded = maps.coded if limits is None else np.clip(maps.coded, *limits)
        difference = np.abs(coded - right)
        halves = np.where(self.smooth & (difference >= 1), difference - 0.5, difference**2 / 2)
        of_boxes = halves.sum(2)[objects].sum() * self.balance / max(4 * objects.sum(), 1)
        of_classes = losses[kept].sum() / max(kept.sum(), 1)
        return np.array([of_classes + of_boxes, of_boxes]).reshape(1, 1, 1, 2)


def emit_gradients(g: GraphBuilder, slopes: Slopes, d_top: str) -> Slopes:
    """The gradients where that of the top (1, 1, 1, 2) is ``d_top``, of which the forks read the first
    number."""
    weight = g.op("Gather", g.op("Reshape", d_top, g.ints([-1])), g.ints(0))
    return Slopes(*(g.op("Mul", slope, weight) for slope in slopes))


def emit_shares(g: GraphBuilder, weights: str, groups: tuple[str, str], multiple: int, total: str) -> str:
    """``pos_neg_weighted``: weights (N, K, S), so scaled that those of objects make 1 / (1 + ``multiple``) of
    ``total`` (float32 ()) and those of the background the rest. ``groups``: which places of them count."""
    share = 1 / (1 + multiple)
    for flags, part in zip(groups, (share, 1 - share), strict=True):
        found = g.op("ReduceSum", g.op("Where", flags, weights, g.const(0)), keepdims=0)
        some = g.op("And", flags, g.op("Greater", found, g.const(0)))
        scale = g.op("Div", g.op("Mul", total, g.const(part)), g.op("Max", found, g.const(FLT_MIN)))
        weights = g.op("Mul", weights, g.op("Where", some, scale, g.const(1)))
    return weights


def shares(weights: Array, groups: tuple[Any, Any], multiple: int, total: float) -> Array:
    """The same in NumPy."""
    share = 1 / (1 + multiple)
    scaled: Array = weights.copy()
    for flags, part in zip(groups, (share, 1 - share), strict=True):
        if weights[flags].sum() > 0:
            scaled[flags] *= part * total / weights[flags].sum()
    return scaled


def _number(g: GraphBuilder, flags: str, each: int) -> str:
    """How many are flagged, times ``each``: float32 (), at least 1."""
    number = g.op("ReduceSum", g.op("Cast", flags, to=FLOAT), keepdims=0)
    return g.op("Max", g.op("Mul", number, g.const(each)), g.const(1))

"""How SSD codes a box relative to a prior box, and how far boxes overlap: as nodes and in NumPy.

A box is two corners: (xmin, ymin) and (xmax, ymax). What a net predicts for it are two pairs as well.
Source: weiliu89/caffe, branch ssd, ``DecodeBBox``, ``EncodeBBox`` and ``JaccardOverlap``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.base import Array


class Pairs(NamedTuple):
    """Names of two tensors whose last axis is (x, y)."""

    first: str
    second: str


def first_priors(g: GraphBuilder, priors: Value) -> str:
    """The name of the prior boxes (1, 2, 4 * boxes, ...) of the first item, the only one that SSD reads."""
    if priors.dims[0] == 1:
        return priors.name
    return g.op("Slice", priors.name, g.ints([0]), g.ints([1]), g.ints([0]))


def split_pairs(g: GraphBuilder, boxes: str) -> Pairs:
    """The two halves of a last axis of 4."""
    return Pairs(*g.ops("Split", boxes, outputs=2, axis=-1, num_outputs=2))


def join_pairs(g: GraphBuilder, pairs: Pairs) -> str:
    return g.op("Concat", *pairs, axis=-1)


def emit_decoded(g: GraphBuilder, code: str, coded: Pairs, prior: Pairs) -> Pairs:
    """The box of a prediction; ``coded`` is already multiplied by its variance. ``code``: CORNER,
    CENTER_SIZE or CORNER_SIZE."""
    if code == "CORNER":
        return Pairs(g.op("Add", prior.first, coded.first), g.op("Add", prior.second, coded.second))
    size = g.op("Sub", prior.second, prior.first)
    shift = g.op("Mul", coded.first, size)
    if code == "CORNER_SIZE":
        stretch = g.op("Mul", coded.second, size)
        return Pairs(g.op("Add", prior.first, shift), g.op("Add", prior.second, stretch))
    middle = g.op("Mul", g.op("Add", prior.first, prior.second), g.const(0.5))
    centre = g.op("Add", shift, middle)
    half = g.op("Mul", g.op("Mul", g.op("Exp", coded.second), size), g.const(0.5))
    return Pairs(g.op("Sub", centre, half), g.op("Add", centre, half))


def decoded(code: str, coded: Array, prior: Array) -> Array:
    """The same in NumPy: boxes (..., 4), of which ``coded`` and ``prior`` broadcast against each other."""
    if code == "CORNER":
        return prior + coded
    size = prior[..., 2:] - prior[..., :2]
    if code == "CORNER_SIZE":
        stretched: Array = prior + coded * np.concatenate([size, size], axis=-1)
        return stretched
    centre = (prior[..., :2] + prior[..., 2:]) / 2 + coded[..., :2] * size
    side = np.exp(coded[..., 2:]) * size
    corners: Array = np.concatenate([centre - side / 2, centre + side / 2], axis=-1)
    return corners


def emit_encoded(g: GraphBuilder, code: str, box: Pairs, prior: Pairs) -> Pairs:
    """What a net should predict for a box, before it is divided by the variance: undoes ``emit_decoded``."""
    first, second = (g.op("Sub", b, p) for b, p in zip(box, prior, strict=True))
    if code == "CORNER":
        return Pairs(first, second)
    size = g.op("Sub", prior.second, prior.first)
    if code == "CORNER_SIZE":
        return Pairs(g.op("Div", first, size), g.op("Div", second, size))
    shift = g.op("Mul", g.op("Add", first, second), g.const(0.5))
    stretch = g.op("Log", g.op("Div", g.op("Sub", box.second, box.first), size))
    return Pairs(g.op("Div", shift, size), stretch)


def encoded(code: str, box: Array, prior: Array) -> Array:
    """The same in NumPy: boxes (..., 4), which broadcast."""
    if code == "CORNER":
        return box - prior
    size = prior[..., 2:] - prior[..., :2]
    if code == "CORNER_SIZE":
        corners: Array = (box - prior) / np.concatenate([size, size], axis=-1)
        return corners
    shift = (box[..., :2] + box[..., 2:] - prior[..., :2] - prior[..., 2:]) / 2 / size
    coded: Array = np.concatenate([shift, np.log((box[..., 2:] - box[..., :2]) / size)], axis=-1)
    return coded


@dataclass(frozen=True)
class BoxCode:
    """How a net codes boxes. Coded places, boxes and variances below are (..., 4) and broadcast."""

    name: str
    """CORNER, CENTER_SIZE or CORNER_SIZE."""
    variance_in_target: bool = False
    """Whether losses and not codes are divided by the variances."""
    clip: bool = False
    """Whether boxes are cut to the image, 0 to 1."""

    @classmethod
    def from_param(cls, p: Any, variance_in_target: bool) -> BoxCode:
        """What the ``code_type`` of a message says."""
        names = p.DESCRIPTOR.fields_by_name["code_type"].enum_type.values_by_number
        return cls(names[p.code_type].name, variance_in_target)

    def emit_box(self, g: GraphBuilder, coded: str, prior: Pairs, variances: str) -> Pairs:
        """The boxes of coded places."""
        if not self.variance_in_target:
            coded = g.op("Mul", coded, variances)
        boxes = emit_decoded(g, self.name, split_pairs(g, coded), prior)
        if not self.clip:
            return boxes
        return Pairs(*(g.op("Clip", corner, g.const(0), g.const(1)) for corner in boxes))

    def emit_difference(self, g: GraphBuilder, coded: str, prior: Pairs, variances: str, box: Pairs) -> str:
        """Of coded places from those that stand for boxes: what a loss is taken of."""
        right = join_pairs(g, emit_encoded(g, self.name, box, prior))
        if self.variance_in_target:
            return g.op("Div", g.op("Sub", coded, right), variances)
        return g.op("Sub", coded, g.op("Div", right, variances))

    def box(self, coded: Array, prior: Array, variances: Array) -> Array:
        """As ``emit_box``, in NumPy."""
        boxes = decoded(self.name, coded if self.variance_in_target else coded * variances, prior)
        return boxes.clip(0, 1) if self.clip else boxes

    def difference(self, coded: Array, prior: Array, variances: Array, box: Array) -> Array:
        """As ``emit_difference``, in NumPy."""
        right = encoded(self.name, box, prior)
        result: Array = (coded - right) / variances if self.variance_in_target else coded - right / variances
        return result


def emit_overlap(g: GraphBuilder, a: Pairs, b: Pairs) -> str:
    """:func:`overlap` as nodes; the pairs are of shapes (..., 2), which broadcast."""
    common = g.op("Sub", g.op("Min", a.second, b.second), g.op("Max", a.first, b.first))
    shared = g.op("ReduceProd", g.op("Max", common, g.const(0)), g.ints([-1]), keepdims=0)
    areas = [
        g.op("ReduceProd", g.op("Sub", pair.second, pair.first), g.ints([-1]), keepdims=0) for pair in (a, b)
    ]
    union = g.op("Sub", g.op("Add", *areas), shared)
    some = g.op("Greater", shared, g.const(0))
    return g.op("Where", some, g.op("Div", shared, union), g.const(0))


def emit_pixel_overlap(g: GraphBuilder, a: Pairs, b: Pairs) -> str:
    """:func:`pixel_overlap` as nodes; the pairs are of shapes (..., 2), which broadcast."""
    common = g.op("Sub", g.op("Min", a.second, b.second), g.op("Max", a.first, b.first))
    apart = g.op("Less", g.op("ReduceMin", common, g.ints([-1])), g.const(0))
    shared = _pixels(g, g.op("Where", apart, g.const(0), common))
    areas = []
    for pair in (a, b):
        side = g.op("Sub", pair.second, pair.first)
        wrong = g.op("Less", g.op("ReduceMin", side, g.ints([-1]), keepdims=0), g.const(0))
        areas.append(g.op("Where", wrong, g.const(0), _pixels(g, side)))
    return g.op("Div", shared, g.op("Sub", g.op("Add", *areas), shared))


def _pixels(g: GraphBuilder, sides: str) -> str:
    return g.op("ReduceProd", g.op("Add", sides, g.const(1)), g.ints([-1]), keepdims=0)


def pixel_overlap(a: Array, b: Array) -> Array:
    """Intersection over union of boxes (..., 4) whose corners are pixels, the last ones included. As in SSD
    boxes that lie apart share one pixel."""
    common = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = (np.where((common < 0).any(-1, keepdims=True), 0, common) + 1).prod(-1)
    sides = [box[..., 2:] - box[..., :2] for box in (a, b)]
    areas = [np.where((side < 0).any(-1), 0, (side + 1).prod(-1)) for side in sides]
    overlaps: Array = shared / (areas[0] + areas[1] - shared)
    return overlaps


def overlap(a: Array, b: Array) -> Array:
    """Intersection over union of boxes (..., 4), which broadcast; 0 where one has no area."""
    common = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = common.prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)]
    apart = (common <= 0).any(-1)
    overlaps: Array = np.where(apart, 0.0, shared / np.where(apart, 1.0, areas[0] + areas[1] - shared))
    return overlaps


def suppressed(boxes: Array, threshold: float) -> list[int]:
    """Which boxes (K, 4), the surest first, stay: each but those that overlap an earlier one that
    stayed by more than ``threshold``."""
    low, high = boxes[:, :2], boxes[:, 2:]
    areas = (high - low).prod(1)  # once, since a detector has hundreds of boxes for each class
    stays = []
    left = np.arange(len(boxes))
    while len(left):
        first, left = left[0], left[1:]
        stays.append(int(first))
        common = np.maximum(np.minimum(high[first], high[left]) - np.maximum(low[first], low[left]), 0)
        shared = common[:, 0] * common[:, 1]
        over = shared > 0
        near = left[over]
        over[over] = shared[over] / (areas[first] + areas[near] - shared[over]) > threshold
        left = left[~over]
    return stays

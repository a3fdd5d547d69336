"""How SSD codes a box relative to a prior box: the decoders, as nodes and in NumPy.

A box is two corners: (xmin, ymin) and (xmax, ymax). What a net predicts for it are two pairs as well.
Source: weiliu89/caffe, branch ssd, ``DecodeBBox``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array


class Pairs(NamedTuple):
    """Names of two tensors whose last axis is (x, y)."""

    first: str
    second: str


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
    stays = []
    left = np.arange(len(boxes))
    while len(left):
        first, left = left[0], left[1:]
        stays.append(int(first))
        left = left[overlap(boxes[first], boxes[left]) <= threshold]
    return stays

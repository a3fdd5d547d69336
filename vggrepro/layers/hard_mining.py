"""HardMining: the regions of each image with the largest scores, which as a rule are losses (Cascade R-CNN's
layer; not from BVLC Caffe).

Source: zhaoweicai/cascade-rcnn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    at_least,
    register,
)
from vggrepro.layers.rules.region_sampling import emit_four_axes, four_axes

FIELDS = ("num_roi_per_image", "num_image")
ROW = 5


@register
@dataclass(frozen=True)
class HardMining(Layer[None]):
    """Bottoms: scores (R), regions (R, 5) with the index of the image first, and others of R rows. Tops: of
    all bottoms but the scores the chosen rows, in their order, with four axes.

    Of each image ``num_roi_per_image`` regions with the largest scores are chosen, or all it has. Until there
    are ``num_image`` times as many, or all R, the largest scores of the others follow. Of equal scores the
    later one counts as larger.

    DEVIATION: the indices of images are not checked.

    No gradient flows.
    """

    type = "HardMining"
    origin = "Cascade R-CNN"
    bottoms = at_least(2)
    tops = at_least(1)

    each: int
    """``num_roi_per_image``."""
    images: int
    """``num_image``."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> HardMining:
        p = param.hard_mining_param
        if not all(p.HasField(f) and getattr(p, f) > 0 for f in FIELDS):
            got = " and ".join(str(getattr(p, name)) for name in FIELDS)
            raise NetError(f"hard_mining_param: {' and '.join(FIELDS)} must be given, and above 0; got {got}")
        if any(param.propagate_down):
            raise NetError("HardMining has no backward pass: propagate_down must be false")
        number = len(param.top) + 1
        if len(param.bottom) not in (0, number):
            raise NetError(
                f"Check failed: bottom.size() == top.size() + 1 ({len(param.bottom)} vs. {number})"
            )
        return cls(p.num_roi_per_image, p.num_image)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, *others = bottoms
        if any(len(b) not in range(1, 5) or b[0] != scores[0] for b in bottoms) or prod(scores[1:]) != 1:
            raise ShapeError(f"HardMining: bottoms must be (R) and others of R rows, got {list(bottoms)}")
        if len(others[0]) < 2 or others[0][1] != ROW:
            raise ShapeError(f"HardMining: bottom[1] must be regions (R, {ROW}), got {others[0]}")
        return four_axes(*((self._number(scores[0]), *b[1:]) for b in others))

    def _number(self, regions: int) -> int:
        return min(self.each * self.images, regions)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        count = bottoms[0].shape[0]
        scores = g.op("Reshape", bottoms[0].name, g.ints([-1]))
        rows = g.op("Reshape", bottoms[1].name, g.ints([count, -1]))
        items = g.op("Gather", rows, g.ints(0), axis=1)
        places = g.const(np.arange(count, dtype=np.float32))
        before = _larger(g, scores, places)
        same = g.op("Equal", _row(g, items), _column(g, items))
        rank = _count(g, g.op("And", before, same))
        kept = g.op("Cast", g.op("Less", rank, g.const(self.each)), to=FLOAT)
        better = g.op("Greater", _row(g, kept), _column(g, kept))
        equal = g.op("And", g.op("Equal", _row(g, kept), _column(g, kept)), before)
        position = _count(g, g.op("Or", better, equal))
        number = self._number(count)
        chosen = g.op("Less", position, g.const(number))
        first = g.op("Where", chosen, g.op("Sub", g.const(count), places), g.const(0))
        _, at = g.ops("TopK", first, g.ints([number]), outputs=2, axis=0)
        tops = []
        for bottom in bottoms[1:]:
            top = g.op("Gather", bottom.name, at, axis=0)
            tops.append(emit_four_axes(g, top, bottom.rank) if bottom.rank < 4 else top)
        return Emitted(tuple(tops), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        return Gradients((None,) * (len(d_tops) + 1))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, items = bottoms[0].reshape(-1), bottoms[1].reshape(len(bottoms[1]), -1)[:, 0]
        surest = sorted(range(len(scores)), key=lambda i: (scores[i], i), reverse=True)
        kept: list[int] = []
        left: list[int] = []
        seen = dict.fromkeys(items, 0)
        for i in surest:
            (kept if seen[items[i]] < self.each else left).append(i)
            seen[items[i]] += 1
        at = sorted((kept + left)[: self._number(len(scores))])
        return Referenced(
            tuple(b[at].reshape(len(at), *b.shape[1:], *[1] * (4 - b.ndim)) for b in bottoms[1:])
        )


def _row(g: GraphBuilder, x: str) -> str:
    return g.op("Unsqueeze", x, g.ints([0]))


def _column(g: GraphBuilder, x: str) -> str:
    return g.op("Unsqueeze", x, g.ints([1]))


def _larger(g: GraphBuilder, x: str, places: str) -> str:
    """At i, j: whether element j counts as larger than element i, (R, R)."""
    later = g.op("Greater", _row(g, places), _column(g, places))
    tied = g.op("And", g.op("Equal", _row(g, x), _column(g, x)), later)
    return g.op("Or", g.op("Greater", _row(g, x), _column(g, x)), tied)


def _count(g: GraphBuilder, flags: str) -> str:
    """How many are true in each row."""
    return g.op("ReduceSum", g.op("Cast", flags, to=FLOAT), g.ints([1]), keepdims=0)

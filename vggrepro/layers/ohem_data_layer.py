"""OHEMDataLayer: the regions with the largest losses, for the part of the net that learns (a Python layer of
OHEM, Fast R-CNN's fork; not from BVLC Caffe).

Source: abhi2610/ohem, ``roi_data_layer.layer``, with the numbers of its configuration. "Training Region-based
Object Detectors with Online Hard Example Mining".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import INT64, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.box_code import suppressed
from vggrepro.layers.rules.param_str import parse_param_str
from vggrepro.layers.rules.regions import region_rows

BATCH = 128
"""How many regions are given at most."""

OVERLAP = 0.7
"""Regions of one label that overlap one with a larger loss by more than that are left out."""

LEAST = float(np.finfo(np.float64).eps)
"""The smallest probability whose logarithm is taken."""


@register
@dataclass(frozen=True)
class OHEMDataLayer(Layer[None]):
    """Bottoms: probabilities (P, C); predicted places (P, 4 C); regions (P, 5): index of the image, x1, y1,
    x2, y2; labels (P); targets, weights inside and weights outside of the loss of places (P, 4 C). Tops: the
    regions with the largest losses (R, 5), and the last four bottoms of them; R is 128, or P if that is less.

    A region's loss is that of its label, and for objects that of its place, as SoftmaxWithLoss and
    SmoothL1Loss take them. Of the regions of an image with one label some overlap one with a larger loss, and
    are left out.

    DEVIATION: the fork gives fewer regions where more are left out; here they are given again in turns, so
    that a top's shape is known. Of equal losses the first region is taken; the fork does not say which.

    No gradient flows. NonMaxSuppression has no CUDA kernel.
    """

    type = "OHEMDataLayer"
    origin = "OHEM"
    bottoms = exactly(7)
    tops = exactly(5)

    classes: int

    @classmethod
    def from_param(cls, param: Any, phase: int) -> OHEMDataLayer:
        text = param.python_param.param_str
        given = parse_param_str(text)
        if set(given) != {"num_classes"}:
            raise UnsupportedError(f"param_str {text!r}: expected 'num_classes' and nothing else")
        return cls(given["num_classes"])

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        places = 4 * self.classes
        for index, size in enumerate((self.classes, places, 5, 1, places, places, places)):
            shape = bottoms[index]
            if not shape or shape[0] != bottoms[0][0] or prod(shape[1:]) != size:
                raise ShapeError(
                    f"bottom[{index}] must have {size} numbers for each region, got shape {shape}"
                )
        number = min(BATCH, bottoms[0][0])
        return ((number, 5), (number,), *((number, places),) * 3)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        number = min(BATCH, bottoms[0].shape[0])
        rows = region_rows(g, bottoms[2])
        labels = g.op("Reshape", bottoms[3].name, g.ints([-1]))
        places = [g.op("Reshape", b.name, g.ints([0, 4 * self.classes])) for b in (bottoms[1], *bottoms[4:])]
        losses = self._losses(g, bottoms[0].name, labels, places)
        stays = self._stays(g, rows, g.op("Cast", labels, to=INT64), losses)
        ranked = g.op("Where", stays, losses, g.const(-1))
        _, order = g.ops("TopK", ranked, g.ints([number]), outputs=2, axis=0)
        found = g.op("ReduceSum", g.op("Cast", stays, to=INT64))
        turns = g.op("Mod", g.ints(range(number)), g.op("Min", g.op("Squeeze", found), g.ints(number)))
        index = g.op("Gather", order, turns)
        return Emitted(tuple(g.op("Gather", x, index) for x in (rows, labels, *places[1:])), None)

    def _losses(self, g: GraphBuilder, prob: str, labels: str, places: Sequence[str]) -> str:
        """Of each region, (P)."""
        predicted, targets, inside, outside = places
        column = g.op("Unsqueeze", g.op("Cast", labels, to=INT64), g.ints([1]))
        prob = g.op("Reshape", prob, g.ints([0, self.classes]))
        own = g.op("Squeeze", g.op("GatherElements", prob, column, axis=1), g.ints([1]))
        of_label = g.op("Neg", g.op("Log", g.op("Max", own, g.const(LEAST))))
        size = g.op("Abs", g.op("Mul", inside, g.op("Sub", predicted, targets)))
        near = g.op("Min", size, g.const(1))
        halves = g.op("Mul", near, g.op("Sub", size, g.op("Mul", near, g.const(0.5))))
        of_place = g.op("ReduceSum", g.op("Mul", outside, halves), g.ints([1]), keepdims=0)
        objects = g.op("Greater", labels, g.const(0))
        return g.op("Add", of_label, g.op("Where", objects, of_place, g.const(0)))

    def _stays(self, g: GraphBuilder, rows: str, labels: str, losses: str) -> str:
        """Which regions are not left out, bool (P). Labels are NonMaxSuppression's images; regions of another
        image lie beside."""
        image, first, last = g.ops("Split", rows, g.ints([1, 2, 2]), outputs=3, axis=1)
        width = g.op("Add", g.op("ReduceMax", g.op("Abs", last)), g.const(2))
        beside = g.op("Mul", image, g.op("Reshape", width, g.ints([1, 1])))
        boxes = g.op(
            "Concat", g.op("Add", first, beside), g.op("Add", g.op("Add", last, beside), g.const(1)), axis=1
        )
        classes = g.const(np.arange(self.classes)[:, None], np.int64)
        scores = g.op("Where", g.op("Equal", labels, classes), losses, g.const(-1))  # (C, P)
        shape = g.op("Concat", g.op("Shape", scores), g.ints([4]), axis=0)
        chosen = g.op(
            "NonMaxSuppression",
            g.op("Expand", g.op("Unsqueeze", boxes, g.ints([0])), shape),
            g.op("Unsqueeze", scores, g.ints([1])),
            g.op("Shape", losses),
            g.const([OVERLAP]),
            g.const([-0.5]),
        )
        place = g.op("Slice", chosen, g.ints([2]), g.ints([3]), g.ints([1]))  # (K, 1)
        ones = g.op("Expand", g.const(1), g.op("Shape", place, end=1))
        marks = g.op("ScatterND", g.op("Mul", losses, g.const(0)), place, ones)
        return g.op("Greater", marks, g.const(0.5))

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The fork's backward pass does nothing."""
        return Gradients((None,) * 7)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        prob, predicted, rows, labels, *places = (b.reshape(len(b), -1) for b in bottoms)
        targets, inside, outside = places
        label = labels[:, 0].astype(int)
        size = np.abs(inside * (predicted - targets))
        halves = np.where(size < 1, size**2 / 2, size - 0.5)
        losses = -np.log(np.maximum(prob[np.arange(len(prob)), label], LEAST))
        losses += np.where(label > 0, (outside * halves).sum(1), 0)
        stays: list[int] = []
        for image, kind in {(float(row[0]), int(own)) for row, own in zip(rows, label, strict=True)}:
            own = np.flatnonzero((rows[:, 0] == image) & (label == kind))
            own = own[np.argsort(-losses[own], kind="stable")]
            stays += own[suppressed(rows[own, 1:] + [0, 0, 1, 1], OVERLAP)].tolist()
        order = sorted(stays, key=lambda index: (-losses[index], index))
        number = min(BATCH, len(prob))
        index = np.array(order[:number])[np.arange(number) % min(len(order), number)]
        return Referenced((rows[index], labels[index, 0], *(x[index] for x in places)))

"""Accuracy: the share of labels among the ``top_k`` best scores (Caffe's Accuracy layer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Count, Emitted, Layer, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import (
    ClassIndex,
    check_label_count,
    class_index,
    reference_labels,
    reference_rows,
)


@register
@dataclass(frozen=True)
class Accuracy(Layer[None]):
    """Bottoms: scores (N, C, ...) and labels, one for each position, in any shape of that count.

    Tops: the accuracy () in [0, 1], 0 if every label is ignored; optionally that of each class (C),
    0 for a class without a label. Another score that equals the true class's counts as better. No
    score compares with NaN: a true class with NaN counts as right, as in Caffe.
    """

    type = "Accuracy"
    bottoms = exactly(2)
    tops = Count(1, 2)
    has_gradient = False
    blind_bottoms = frozenset({1})

    top_k: int = 1
    axis: int = 1
    ignore_label: int | None = None
    per_class: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Accuracy:
        accuracy = param.accuracy_param
        return cls(
            top_k=accuracy.top_k,
            axis=accuracy.axis,
            ignore_label=accuracy.ignore_label if accuracy.HasField("ignore_label") else None,
            per_class=len(param.top) > 1,
        )

    @property
    def top_k_accuracy(self) -> int:
        return self.top_k

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, label = (math.prod(b) for b in bottoms)
        if self.top_k * label > scores:
            raise ShapeError(
                "top_k must be less than or equal to the number of classes."
                f" ({self.top_k} vs. {scores // label})"
            )
        axis = check_label_count(bottoms, self.axis, "label")
        return ((), (bottoms[0][axis],)) if self.per_class else ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, bottoms[0][self.axis], self.ignore_label)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        scores, label = bottoms
        axis = self.axis % scores.rank
        labels = class_index(g, scores, label, axis, self.ignore_label)
        true = g.op("GatherElements", scores.name, labels.index, axis=axis)  # (N, 1, ...)
        reached = g.op("Cast", g.op("GreaterOrEqual", scores.name, true), to=FLOAT)  # (N, C, ...)
        rank = g.op("ReduceSum", reached, g.ints([axis]))  # the true class itself is counted
        right = labels.counted(g, g.op("Cast", g.op("LessOrEqual", rank, g.const(self.top_k)), to=FLOAT))
        one = g.op("Expand", g.const(1), g.op("Shape", labels.index))
        counted = labels.counted(g, one)
        accuracy = _ratio(g, g.op("ReduceSum", right, keepdims=0), g.op("ReduceSum", counted, keepdims=0))
        if not self.per_class:
            return Emitted((accuracy,), None)
        return Emitted((accuracy, self._of_classes(g, scores, axis, labels, right, counted)), None)

    def _of_classes(
        self, g: GraphBuilder, scores: Value, axis: int, labels: ClassIndex, right: str, counted: str
    ) -> str:
        """Sums ``right`` and ``counted`` by class: (C)."""
        classes = scores.dims[axis]
        size = g.op("Shape", scores.name, start=axis, end=axis + 1) if classes is None else g.ints([classes])
        zeros = g.op("Expand", g.const(0), size)
        flat = g.ints([-1])
        index = g.op("Reshape", labels.index, flat)
        sums = [
            g.op("ScatterElements", zeros, index, g.op("Reshape", values, flat), axis=0, reduction="add")
            for values in (right, counted)
        ]
        return _ratio(g, *sums)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, label = bottoms
        values, counted = reference_labels(label, self.ignore_label)
        rows = reference_rows(scores, self.axis)  # (labels, C)
        true = rows[np.arange(len(rows)), values]
        better = (rows >= true[:, None]).sum(axis=1) - 1
        right = (better < self.top_k)[counted]
        mean = np.float64(right.mean() if right.size else 0)
        if not self.per_class:
            return Referenced((mean,))
        of_class = [right[values[counted] == c] for c in range(rows.shape[1])]
        return Referenced((mean, np.array([r.mean() if r.size else 0.0 for r in of_class])))


def _ratio(g: GraphBuilder, part: str, whole: str) -> str:
    """``part / whole``, and 0 where the whole is 0: its part is 0 then."""
    return g.op("Div", part, g.op("Max", whole, g.const(1)))

"""LabelsequenceAccuracy: the share of sequences that are read right (a layer of CRNN forks; not from BVLC
Caffe).

Source: yalecyu/crnn.caffe and others, field ``labelsequence_accuracy_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.label_sequences import decoded, emit_compacted, without_blanks


@register
@dataclass(frozen=True)
class LabelsequenceAccuracy(Layer[None]):
    """Bottoms: scores (N, T, C), labels (N, L) in which ``blank_label`` fills up. Top ().

    A sequence is read right if the likeliest labels of the steps, without those that equal the step before,
    and without blanks, are the labels. Of equal scores the first label counts.
    """

    type = "LabelsequenceAccuracy"
    origin = "CRNN forks"
    bottoms = exactly(2)
    has_gradient = False

    blank: int = 0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LabelsequenceAccuracy:
        return cls(param.labelsequence_accuracy_param.blank_label)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, labels = bottoms
        if len(scores) != 3 or len(labels) != 2 or scores[0] != labels[0]:
            raise ShapeError(
                f"The batch size should be equal: expected (N, T, C) and (N, L), got {scores} and {labels}"
            )
        return ((),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        scores, labels = bottoms
        width = max(Value(b.name, b.dims[1:2]).shape[0] for b in bottoms)
        best = g.op("Cast", g.op("ArgMax", scores.name, axis=2, keepdims=0), to=FLOAT)  # (N, T)
        before = g.op("Slice", best, g.ints([0]), g.ints([-1]), g.ints([1]))
        before = g.op("Pad", before, g.ints([0, 1, 0, 0]), g.const(self.blank))
        wanted = g.op("Floor", labels.name)
        read, right = (
            emit_compacted(g, values, stays, width, -1).values
            for values, stays in (
                (best, g.op("And", self._real(g, best), g.op("Not", g.op("Equal", best, before)))),
                (wanted, self._real(g, wanted)),
            )
        )
        same = g.op("Cast", g.op("Equal", read, right), to=FLOAT)
        return Emitted((g.op("ReduceMean", g.op("ReduceMin", same, g.ints([1])), keepdims=0),), None)

    def _real(self, g: GraphBuilder, labels: str) -> str:
        return g.op("Not", g.op("Equal", labels, g.const(self.blank)))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        hits = [
            decoded(scores.argmax(1).tolist(), self.blank) == without_blanks(labels, self.blank)
            for scores, labels in zip(*bottoms, strict=True)
        ]
        return Referenced((np.asarray(np.mean(hits)),))

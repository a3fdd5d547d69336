"""CTCLoss: how unlikely sequences of labels are in inputs that differ in length (a layer of CTC forks; not
from BVLC Caffe).

Source: MhLiao/TextBoxes_plusplus and others, field ``ctc_loss_param``; "Connectionist Temporal
Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks". Other forks have other
layers of this name, with two bottoms or the field ``ctc_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.ctc_loss import IMPOSSIBLE, CtcLoss, Ways, check_fields
from vggrepro.layers.rules.label_sequences import Compacted, emit_compacted
from vggrepro.layers.rules.loss import LossLayer

READ = (
    *("output_delay", "blank_index", "preprocess_collapse_repeated", "ctc_merge_repeated"),
    "loss_calculation_t",  # where the sum over all ways is taken, which is the same everywhere
)


@dataclass(frozen=True)
class _Saved:
    one: CtcLoss
    ways: Ways
    scores: Value
    ended: str
    """Which sequences have ended, bool (T, N, 1)."""


@register
@dataclass(frozen=True)
class CTCLoss(LossLayer[_Saved]):
    """Bottoms: scores (T, N, C) or (T, N, C, 1); indicators (T, N), of which a 0 behind the first step ends
    a sequence; labels (T, N), which a negative one ends, and of which those from C - 1 on do not count. Top:
    the mean over N of what CtcLoss computes. Labels that do not fit lose infinitely.

    As in the fork the gradient is that of the sum over N. DEVIATION: the fork leaves out the loss weight.
    """

    type = "CTCLoss"
    origin = "CTC forks"
    bottoms = exactly(3)
    blind_bottoms = frozenset({1, 2})

    blank: int = -1
    """Negative for the last class."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CTCLoss:
        p = param.ctc_loss_param
        if not param.HasField("ctc_loss_param"):
            raise UnsupportedError(
                "CTCLoss without ctc_loss_param: forks differ; ctc_loss_param { } tells the one of indicators"
                " and of labels that end at -1"
            )
        check_fields(p, READ, "CTCLoss", "CtcLoss")
        if p.output_delay or p.preprocess_collapse_repeated or not p.ctc_merge_repeated:
            raise UnsupportedError(
                "ctc_loss_param: output_delay, preprocess_collapse_repeated and ctc_merge_repeated: false are"
                " not implemented"
            )
        return cls(p.blank_index)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, *others = bottoms
        if len(scores) not in (3, 4) or scores[3:] not in ((), (1,)):
            raise ShapeError(f"bottom[0] must be (T, N, C) or (T, N, C, 1), got shape {scores}")
        if any(tuple(shape) != tuple(scores[:2]) for shape in others):
            raise ShapeError(
                f"bottom[1] and bottom[2] must be {tuple(scores[:2])}, got {others[0]}, {others[1]}"
            )
        if self.blank >= scores[2]:
            raise ShapeError(f"blank_index must be below {scores[2]}, got {self.blank}")
        return ((),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _one(self, steps: int, classes: int) -> CtcLoss:
        return CtcLoss(classes, steps, self.blank if self.blank >= 0 else classes - 1)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        scores, indicators, labels = bottoms
        steps, classes = Value(scores.name, (scores.dims[0], scores.dims[2])).shape
        one = self._one(steps, classes)
        x = scores.name if scores.rank == 3 else g.op("Squeeze", scores.name, g.ints([3]))
        indicator = g.op("Add", g.op("Transpose", indicators.name, perm=[1, 0]), g.const(0.5))
        zeros = g.op("Less", g.op("Abs", indicator), g.const(1))
        ended = _since(g, zeros, np.triu(np.ones((steps, steps))) * (np.arange(steps) > 0)[:, None])  # (N, T)
        parts = g.ops("Split", g.op("Not", ended), outputs=steps, axis=1, num_outputs=steps)
        ways = one.ways(g, x, self._labels(g, labels.name, steps, classes, one.blank), steps, tuple(parts))
        losses = g.op("Where", g.op("Less", ways.losses, g.const(IMPOSSIBLE)), ways.losses, g.const(np.inf))
        ended = g.op("Unsqueeze", g.op("Transpose", ended, perm=[1, 0]), g.ints([2]))
        return Emitted((g.op("ReduceMean", losses, keepdims=0),), _Saved(one, ways, scores, ended))

    def _labels(self, g: GraphBuilder, labels: str, steps: int, classes: int, blank: int) -> Compacted:
        rows = g.op("Transpose", labels, perm=[1, 0])
        behind = _since(g, g.op("Less", rows, g.const(0)), np.triu(np.ones((steps, steps))))
        whole = g.op("Floor", g.op("Add", rows, g.const(0.5)))
        real = g.op("And", g.op("Not", behind), g.op("Less", whole, g.const(classes - 1)))
        return emit_compacted(g, whole, real, steps, blank)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """As of CtcLoss up to the end of each sequence; the softmax where no way says the labels."""
        self.refuse(needed, 1, "sequence indicator")
        self.refuse(needed, 2, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None,) * 3)
        ways = saved.ways
        possible = g.op("Unsqueeze", g.op("Less", ways.losses, g.const(IMPOSSIBLE)), g.ints([0]))
        told = g.op("Where", possible, saved.one.of_classes(g, ways), g.const(0))
        difference = g.op("Where", saved.ended, g.const(0), g.op("Sub", ways.shares, told))
        if saved.scores.rank == 4:
            difference = g.op("Unsqueeze", difference, g.ints([3]))
        return Gradients((g.op("Mul", difference, d_tops[0]), None, None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, indicators, labels = bottoms
        steps, number, classes = scores.shape[:3]
        scores = scores.reshape(steps, number, classes)
        one = self._one(steps, classes)
        powers = np.exp(scores - scores.max(2, keepdims=True))
        shares = powers / powers.sum(2, keepdims=True)
        losses = []
        for n in range(number):
            ends = [t for t in range(1, steps) if int(indicators[t, n] + 0.5) == 0]
            stops = [t for t in range(steps) if labels[t, n] < 0]
            own = [int(label + 0.5) for label in labels[: min(stops, default=steps), n]]
            own = [label for label in own if label < classes - 1]
            losses.append(one.loss_of(shares[: min(ends, default=steps), n], own, np.inf))
        return Referenced((np.asarray(np.mean(losses)),))


def _since(g: GraphBuilder, marks: str, reach: Array) -> str:
    """Which of (N, T) are marked, or behind a marked one that reaches them."""
    counted = g.op("MatMul", g.op("Cast", marks, to=FLOAT), g.const(reach))
    return g.op("Greater", counted, g.const(0.5))

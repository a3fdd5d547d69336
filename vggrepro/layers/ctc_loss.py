"""CtcLoss: how unlikely a sequence of labels is whose places are not known (a layer of CRNN forks; not from
BVLC Caffe).

Source: yalecyu/crnn.caffe and others, field ``ctc_loss_param``, by the rules of baidu-research/warp-ctc;
"Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.label_sequences import Compacted, emit_compacted, without_blanks
from vggrepro.layers.rules.loss import LossLayer

NEVER = -1e30
"""The logarithm of the probability of what cannot be."""

IMPOSSIBLE = 1e29
"""Losses above this one are of labels that do not fit into the steps."""


class Ways(NamedTuple):
    """All ways to say the labels, as tensors."""

    shares: str
    """The softmax of the scores, (T, N, C)."""
    log_shares: tuple[str, ...]
    """For each step the logarithm of the share of each state, (N, S)."""
    alphas: tuple[str, ...]
    """For each step the logarithm of the probability of all ways to each state, (N, S)."""
    states: str
    """The label of each state, int64 (N, S)."""
    skips: str
    """0 for states that may follow the last but one, else NEVER, (N, S)."""
    ends: str
    """0 for states that a way may end with, else NEVER, (N, S)."""
    losses: str
    """(N, 1); above IMPOSSIBLE where no way says the labels."""
    running: tuple[str, ...]
    """For each step which sequences have not ended, bool (N, 1); empty where all have T steps."""


def check_fields(param: Any, read: Sequence[str], type_: str, other: str) -> None:
    """Raise NetError for a field of ``ctc_loss_param`` that is the ``other`` type's alone."""
    for field, _ in param.ListFields():
        if field.name not in read:
            raise NetError(
                f"ctc_loss_param: {field.name} is a field of {other}, {type_} has {', '.join(read)}"
            )


@register
@dataclass(frozen=True)
class CtcLoss(LossLayer[Ways]):
    """Bottoms: scores (T, N, C), T the ``time_step``, C the ``alphabet_size``; labels (N, L), in which
    ``blank_label`` fills up. Top: the loss (), the mean over N of -log of the probability, by the softmax of
    the scores, of all ways to say the labels in T steps: each label once or more, blanks between them, and at
    least one between two that are equal. Labels that do not fit lose 0, as in warp-ctc.

    As in the fork the gradient is that of the sum over N, not of the mean.
    """

    type = "CtcLoss"
    origin = "CRNN forks"

    classes: int
    steps: int
    blank: int = 0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CtcLoss:
        p = param.ctc_loss_param
        check_fields(p, ("alphabet_size", "time_step", "blank_label"), "CtcLoss", "CTCLoss")
        if p.alphabet_size < 1:
            raise NetError("The size of alphabet should be greater than 0.")
        if p.time_step < 1:
            raise NetError("The time step should be greater than 0.")
        if not 0 <= p.blank_label < p.alphabet_size:
            raise NetError(f"blank_label must be from 0 to {p.alphabet_size - 1}, got {p.blank_label}")
        return cls(p.alphabet_size, p.time_step, p.blank_label)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, labels = bottoms
        if len(scores) != 3 or (scores[0], scores[2]) != (self.steps, self.classes):
            raise ShapeError(f"bottom[0] must be ({self.steps}, N, {self.classes}), got {scores}")
        if len(labels) != 2 or labels[0] != scores[1]:
            raise ShapeError(
                f"The input blobs should have same dimensions: {scores} needs (N, L), got {labels}"
            )
        return ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, self.classes)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[Ways]:
        scores, labels = bottoms
        (length,) = Value(labels.name, labels.dims[1:]).shape
        whole = g.op("Floor", labels.name)
        real = g.op("Not", g.op("Equal", whole, g.const(self.blank)))
        ways = self.ways(g, scores.name, emit_compacted(g, whole, real, length, self.blank), length)
        counted = g.op("Where", g.op("Less", ways.losses, g.const(IMPOSSIBLE)), ways.losses, g.const(0))
        return Emitted((g.op("ReduceMean", counted, keepdims=0),), ways)

    def ways(
        self, g: GraphBuilder, scores: str, own: Compacted, length: int, running: tuple[str, ...] = ()
    ) -> Ways:
        """Of scores (T, N, C) and up to ``length`` labels of each sequence."""
        said = self._states(g, own.values, length)
        skips = self._skips(g, said)
        said = g.op("Cast", said, to=INT64)
        last = g.op("Mul", own.number, g.const(2))
        place = g.const(np.arange(2 * length + 1))
        ends = g.op("Or", g.op("Equal", place, last), g.op("Equal", place, g.op("Sub", last, g.const(1))))
        ends = g.op("Where", ends, g.const(0), g.const(NEVER))
        shares = g.op("Softmax", scores, axis=2)
        every = g.op("LogSoftmax", scores, axis=2)
        spread = g.op("Expand", said, g.op("Concat", g.ints([self.steps]), g.op("Shape", said), axis=0))
        log_shares = self._split(g, g.op("GatherElements", every, spread, axis=2))
        begin = g.const(np.where(np.arange(2 * length + 1) < 2, 0, NEVER))
        alphas = [g.op("Add", log_shares[0], begin)]
        for step, log_share in enumerate(log_shares[1:], start=1):
            ways = (alphas[-1], _moved(g, alphas[-1], 1), g.op("Add", _moved(g, alphas[-1], 2), skips))
            alpha = g.op("Add", log_share, _log_sum(g, ways))
            alphas.append(g.op("Where", running[step], alpha, alphas[-1]) if running else alpha)
        losses = g.op("Neg", g.op("ReduceLogSumExp", g.op("Add", alphas[-1], ends), g.ints([1])))  # (N, 1)
        return Ways(shares, log_shares, tuple(alphas), said, skips, ends, losses, running)

    def _states(self, g: GraphBuilder, labels: str, length: int) -> str:
        """Blank, first label, blank, second label, ..., blank: float32 (N, 2 L + 1)."""
        blank = g.const(self.blank)
        pairs = g.op("Pad", g.op("Unsqueeze", labels, g.ints([2])), g.ints([0, 0, 1, 0, 0, 0]), blank)
        flat = g.op("Reshape", pairs, g.ints([0, 2 * length]))
        return g.op("Pad", flat, g.ints([0, 0, 0, 1]), blank)

    def _skips(self, g: GraphBuilder, said: str) -> str:
        """A label may follow another one, with no blank between them."""
        before = g.op("Slice", said, g.ints([0]), g.ints([-2]), g.ints([1]))
        before = g.op("Pad", before, g.ints([0, 2, 0, 0]), g.const(self.blank))
        stays = g.op("Or", g.op("Equal", said, g.const(self.blank)), g.op("Equal", said, before))
        return g.op("Where", stays, g.const(NEVER), g.const(0))

    def _split(self, g: GraphBuilder, steps: str) -> tuple[str, ...]:
        """(T, N, ...) by steps, (N, ...) each."""
        parts = g.ops("Split", steps, outputs=self.steps, axis=0, num_outputs=self.steps)
        return tuple(g.op("Squeeze", part, g.ints([0])) for part in parts)

    def grad(self, g: GraphBuilder, saved: Ways, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The softmax less how likely each label is at each step, given that the labels are said."""
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        possible = g.op("Unsqueeze", g.op("Less", saved.losses, g.const(IMPOSSIBLE)), g.ints([0]))
        difference = g.op("Sub", saved.shares, self.of_classes(g, saved))
        difference = g.op("Where", possible, difference, g.const(0))
        return Gradients((g.op("Mul", difference, d_tops[0]), None))

    def of_classes(self, g: GraphBuilder, saved: Ways) -> str:
        """How likely each class is at each step, given that the labels are said: (T, N, C)."""
        beta = saved.ends
        posteriors: list[str] = []
        for step in reversed(range(self.steps)):
            if step < self.steps - 1:
                after = g.op("Add", beta, saved.log_shares[step + 1])
                skipped = _moved(g, g.op("Add", after, saved.skips), -2)
                beta = _log_sum(g, (after, _moved(g, after, -1), skipped))
                if saved.running:
                    beta = g.op("Where", saved.running[step + 1], beta, saved.ends)
            ways = g.op("Add", g.op("Add", saved.alphas[step], beta), saved.losses)
            posteriors.insert(0, g.op("Unsqueeze", g.op("Exp", ways), g.ints([1])))
        of_states = g.op("Concat", *posteriors, axis=1)  # (N, T, S)
        classes = g.ints(list(range(self.classes)))
        members = g.op("Cast", g.op("Equal", g.op("Unsqueeze", saved.states, g.ints([2])), classes), to=FLOAT)
        return g.op("Transpose", g.op("MatMul", of_states, members), perm=[1, 0, 2])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, labels = bottoms
        powers = np.exp(scores - scores.max(2, keepdims=True))
        shares = powers / powers.sum(2, keepdims=True)
        losses = [self.loss_of(shares[:, n], without_blanks(own, self.blank)) for n, own in enumerate(labels)]
        return Referenced((np.asarray(np.mean(losses)),))

    def loss_of(self, shares: Array, labels: Sequence[int], impossible: float = 0.0) -> float:
        """Of one sequence: shares (T, C)."""
        said = [self.blank, *(state for label in labels for state in (label, self.blank))]
        ways = np.zeros(len(said))
        ways[0] = 1  # before the first step: then it may go on to the first label
        logarithm = 0.0
        for step, share in enumerate(shares):
            news = ways.copy()
            news[1:] += ways[:-1]
            if step > 0:
                for place in range(3, len(said), 2):
                    news[place] += ways[place - 2] * (said[place] != said[place - 2])
            ways = news * share[said]
            if ways.sum() == 0:
                return impossible
            logarithm += float(np.log(ways.sum()))
            ways /= ways.sum()
        total = float(ways[-2:].sum())
        return -logarithm - float(np.log(total)) if total > 0 else impossible


def _moved(g: GraphBuilder, states: str, by: int) -> str:
    """(N, S), each state's value at the state ``by`` places on, NEVER where none comes from."""
    begin, end = (0, -by) if by > 0 else (-by, np.iinfo(np.int64).max)
    kept = g.op("Slice", states, g.ints([begin]), g.ints([end]), g.ints([1]))
    return g.op("Pad", kept, g.ints([0, max(by, 0), 0, max(-by, 0)]), g.const(NEVER))


def _log_sum(g: GraphBuilder, logarithms: Sequence[str]) -> str:
    """The logarithm of the sum of the exponentials."""
    largest = reduce(lambda a, b: g.op("Max", a, b), logarithms)
    powers = [g.op("Exp", g.op("Sub", each, largest)) for each in logarithms]
    return g.op("Add", largest, g.op("Log", g.sum_in_order(powers)))

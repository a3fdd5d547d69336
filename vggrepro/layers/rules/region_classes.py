"""What the boxes of a YOLO v2 net say of classes: alone, or in a tree of labels (YOLO9000); as nodes and in
NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.layers.base import Array
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.label_tree import LabelTree, emit_mapped, mapped, read_numbers
from vggrepro.layers.rules.right_boxes import label_column
from vggrepro.layers.rules.yolo_truth import YoloTruth

NOWHERE = 100_000
"""A centre beyond says that an image has a label, and that no box is known."""

LEAST = 0.3
"""The confidence that the box that is surest of such a label should have."""


@dataclass(frozen=True)
class RegionClasses:
    """The classes of a net, and how wrong it is about them."""

    number: int
    scale: float
    tree: LabelTree | None = None
    places: tuple[int, ...] = ()
    """Where the classes of labels stand, if not in turns (``class_map``)."""

    @classmethod
    def from_param(cls, p: Any) -> RegionClasses:
        """``p``: a RegionLossParameter, whose files are read. Raises NetError."""
        tree = LabelTree.read(p.softmax_tree, p.num_class) if p.softmax_tree else None
        return cls(p.num_class, p.class_scale, tree, read_numbers(p.class_map, 0) if p.class_map else ())

    def allowed_labels(self, annotated: bool) -> AllowedLabels | None:
        """Those of a tree: in AnnotatedData's rows, or in rows of class, x, y, width and height."""
        if self.tree is None:
            return None
        return label_column(1, self.number) if annotated else AllowedLabels(1, self.number, column=(5, 0))

    def emit_shares(self, g: GraphBuilder, scores: str) -> str:
        """The probabilities of classes, or of labels among their group, of scores (N, A, C)."""
        return g.op("Softmax", scores, axis=2) if self.tree is None else self.tree.emit_shares(g, scores)

    def emit_slopes(self, g: GraphBuilder, shares: str, labels: str, mine: str, index: str) -> str:
        """Of shares (N, A, C): ``labels`` (N, K), int64, of right boxes, ``mine`` whether a box is to become
        it, bool (N, K, A), and ``index`` the last one of each box, int64 (N, A, 1). Of boxes that are to
        become none the slopes of classes without a tree mean nothing."""
        if self.places:
            labels = emit_mapped(g, labels, self.places)
        if self.tree is None:
            label = g.op("Unsqueeze", g.op("GatherND", labels, index, batch_dims=1), g.ints([2]))
            one = g.op("Cast", g.op("Equal", label, g.ints(list(range(self.number)))), to=FLOAT)
            return g.op("Mul", g.op("Sub", shares, one), g.const(self.scale))
        groups, chain = self.tree.emit_chains(g, labels)  # (N, K, C)
        mine = g.op("Cast", mine, to=FLOAT)
        by_box = g.op("Transpose", mine, perm=[0, 2, 1])  # (N, A, K)
        same = g.op("MatMul", mine, by_box)
        later = g.op("Mul", same, _later(g, labels))
        hidden = g.op("Min", g.op("MatMul", later, groups), g.const(1))  # what a later box says counts
        stays = g.op("Sub", g.const(1), hidden)
        groups, chain = (
            g.op("MatMul", by_box, g.op("Mul", flags, g.op("Mul", groups, stays)))
            for flags in (groups, chain)
        )
        return g.op("Mul", g.op("Sub", g.op("Mul", groups, shares), chain), g.const(self.scale))

    def emit_labelled_alone(
        self, g: GraphBuilder, sure: str, shares: str, truth: YoloTruth, scales: tuple[float, float]
    ) -> tuple[str, str]:
        """Which images have a label and no known box, bool (N, 1, 1), and their slopes of confidences and
        classes, (N, A, 1 + C). ``scales``: of confidences with an object and without."""
        assert self.tree is not None
        far = g.op("ReduceMin", truth.centre, g.ints([2]), keepdims=0)  # (N, K)
        alone = g.op("And", g.op("Greater", far, g.const(NOWHERE)), truth.seen)
        alone = g.op("Cast", alone, to=FLOAT)
        flags = g.op("Greater", g.op("ReduceMax", alone, g.ints([1])), g.const(0.5))  # (N, 1)
        first = g.op("ArgMax", alone, axis=1)  # (N, 1)
        label = g.op("GatherElements", truth.label, first, axis=1)
        whole = self.tree.emit_probability(g, shares, g.op("Squeeze", label, g.ints([1])))
        best = g.op("ArgMax", g.op("Mul", g.op("Squeeze", sure, g.ints([2])), whole), axis=1)
        order = axis_places(g, whole, 1)
        chosen = g.op("Unsqueeze", g.op("Equal", best, order), g.ints([2]))  # (N, A, 1)
        groups, chain = self.tree.emit_chains(g, label)  # (N, 1, C)
        wrong = g.op("Mul", g.op("Sub", g.op("Mul", groups, shares), chain), g.const(self.scale))
        lacking = g.op("Min", g.op("Sub", sure, g.const(LEAST)), g.const(0))
        away = g.op(
            "Where",
            chosen,
            g.op("Mul", lacking, g.const(scales[0])),
            g.op("Mul", sure, g.const(scales[1])),
        )
        variance = g.op("Mul", sure, g.op("Sub", g.const(1), sure))
        d_classes = g.op("Where", chosen, wrong, g.const(0))
        slopes = g.op("Concat", g.op("Mul", away, variance), d_classes, axis=2)
        return g.op("Unsqueeze", flags, g.ints([2])), slopes

    def shares(self, scores: Array) -> Array:
        """As ``emit_shares``, of scores (A, C)."""
        if self.tree is not None:
            return self.tree.shares(scores)
        powers = np.exp(scores - scores.max(1, keepdims=True))
        shares: Array = powers / powers.sum(1, keepdims=True)
        return shares

    def teach(self, slopes: Array, shares: Array, label: float) -> None:
        """Write into the slopes (C) of one box what a right box's label says."""
        whole = int(mapped(np.array(int(label)), self.places)) if self.places else int(label)
        if self.tree is not None:
            self.tree.teach(slopes, shares, whole, self.scale)
        else:
            slopes[:] = self.scale * (shares - (np.arange(self.number) == whole))

    def teach_label_alone(self, sure: Array, shares: Array, label: int, scales: tuple[float, float]) -> Array:
        """As ``emit_labelled_alone``, of one image: (A, 1 + C)."""
        assert self.tree is not None
        slopes = np.zeros((len(sure), 1 + self.number))
        slopes[:, 0] = scales[1] * sure
        best = int((sure * shares[:, self.tree.chain(label)].prod(1)).argmax())
        slopes[best, 0] = scales[0] * min(sure[best] - LEAST, 0)
        slopes[:, 0] *= sure * (1 - sure)
        self.tree.teach(slopes[best, 1:], shares[best], label, self.scale)
        return slopes


def _later(g: GraphBuilder, labels: str) -> str:
    """1 where the column comes behind the row: (K, K) for labels (N, K)."""
    order = axis_places(g, labels, 1)
    behind = g.op("Less", g.op("Unsqueeze", order, g.ints([1])), order)
    return g.op("Cast", behind, to=FLOAT)

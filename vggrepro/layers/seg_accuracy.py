"""SegAccuracy: accuracy, recall and Jaccard index of a segmentation (DeepLab's layer; not from BVLC Caffe).

Sources: DeepLab, and hszhao/PSPNet for the tops of single classes; field ``seg_accuracy_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, at_least, exactly, register


@register
@dataclass(frozen=True)
class SegAccuracy(Layer[None]):
    """Bottoms: scores (N, C, H, W) of at least 2 classes, labels (N, 1, H, W). Tops (1, 1, 1, 3): the share
    of right places, the recall averaged over the classes that occur, and the Jaccard index averaged over
    all classes, 1 for those that neither occur nor are predicted; then precision, recall and Jaccard index
    of each class of ``output_labels``, NaN where nothing is divided by nothing. Labels in ``ignored`` do
    not count.

    DEVIATION: another label outside of [0, C) does not count either, where the forks stop. Of equal scores
    the first class is predicted, as in PSPNet; DeepLab takes the last.
    """

    type = "SegAccuracy"
    origin = "DeepLab, PSPNet"
    bottoms = exactly(2)
    tops = at_least(1)
    has_gradient = False

    ignored: tuple[int, ...] = ()
    output_labels: tuple[int, ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SegAccuracy:
        p = param.seg_accuracy_param
        if not p.reset:
            raise UnsupportedError(
                "seg_accuracy_param: reset: false, which adds up batches, is not implemented"
            )
        if len(param.top) != len(p.output_label) + 1:
            raise NetError(
                "Check failed: top.size() == output_label_.size() + 1"
                f" ({len(param.top)} vs. {len(p.output_label) + 1})"
            )
        return cls(tuple(p.ignore_label), tuple(p.output_label))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, labels = bottoms
        if len(scores) != 4 or scores[1] < 2 or tuple(labels) != (scores[0], 1, *scores[2:]):
            raise ShapeError(
                "SegAccuracy: bottoms must be (N, C, H, W) with at least 2 classes and (N, 1, H, W), got"
                f" shapes {scores} and {labels}"
            )
        if any(not 0 <= label < scores[1] for label in self.output_labels):
            raise ShapeError(f"output_label {self.output_labels} beyond the {scores[1]} classes")
        return ((1, 1, 1, 3),) * (1 + len(self.output_labels))

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        """From the confusion matrix: true classes by predicted ones."""
        scores, labels = bottoms
        (classes,) = Value(scores.name, scores.dims[1:2]).shape
        predicted = g.op("ArgMax", scores.name, axis=1)
        rows = self._one_hot(g, g.op("Cast", labels.name, to=INT64), classes)
        rows = g.op("Mul", rows, g.const([float(c not in self.ignored) for c in range(classes)]))
        columns = self._one_hot(g, predicted, classes)
        matrix = g.op("MatMul", g.op("Transpose", rows, perm=[1, 0]), columns)  # (C, C)
        right = g.op("ReduceSum", g.op("Mul", matrix, g.const(np.eye(classes))), g.ints([1]), keepdims=0)
        occur = g.op("ReduceSum", matrix, g.ints([1]), keepdims=0)
        guessed = g.op("ReduceSum", matrix, g.ints([0]), keepdims=0)
        union = g.op("Sub", g.op("Add", occur, guessed), right)
        tops = [self._of_all(g, right, occur, union)]
        jaccard = self._jaccard(g, right, union)
        for label in self.output_labels:
            shares = [g.op("Div", right, guessed), g.op("Div", right, occur), jaccard]
            tops.append(self._row(g, [g.op("Gather", share, g.ints([label]), axis=0) for share in shares]))
        return Emitted(tuple(tops), None)

    def _one_hot(self, g: GraphBuilder, values: str, classes: int) -> str:
        """(places, C): which class a value is."""
        column = g.op("Reshape", values, g.ints([-1, 1]))
        return g.op("Cast", g.op("Equal", column, g.ints(range(classes))), to=FLOAT)

    def _of_all(self, g: GraphBuilder, right: str, occur: str, union: str) -> str:
        one = g.const(1)
        total = g.op("ReduceSum", occur)
        accuracy = g.op("Div", g.op("ReduceSum", right), g.op("Max", total, one))
        recall = g.op("Div", right, g.op("Max", occur, one))
        number = g.op("ReduceSum", g.op("Cast", g.op("Greater", occur, g.const(0)), to=FLOAT))
        mean_recall = g.op("Div", g.op("ReduceSum", recall), g.op("Max", number, one))
        mean_jaccard = g.op("ReduceMean", self._jaccard(g, right, union), g.ints([0]))
        return self._row(g, [accuracy, mean_recall, mean_jaccard])

    def _jaccard(self, g: GraphBuilder, right: str, union: str) -> str:
        share = g.op("Div", right, g.op("Max", union, g.const(1)))
        return g.op("Where", g.op("Equal", right, union), g.const(1), share)

    def _row(self, g: GraphBuilder, numbers: Sequence[str]) -> str:
        return g.op("Reshape", g.op("Concat", *numbers, axis=0), g.ints([1, 1, 1, 3]))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, labels = bottoms
        classes = scores.shape[1]
        matrix = np.zeros((classes, classes))
        for true, guess in zip(labels.astype(int).flat, scores.argmax(1).flat, strict=True):
            if 0 <= true < classes and true not in self.ignored:
                matrix[true, guess] += 1
        right, occur, guessed = np.diag(matrix), matrix.sum(1), matrix.sum(0)
        union = occur + guessed - right
        jaccard = np.array([1 if r == u else r / u for r, u in zip(right, union, strict=True)])
        recalls = [r / n for r, n in zip(right, occur, strict=True) if n]
        rows = [[right.sum() / max(occur.sum(), 1), np.mean(recalls) if recalls else 0.0, jaccard.mean()]]
        with np.errstate(invalid="ignore"):
            precision, recall = right / guessed, right / occur
        rows += [[precision[label], recall[label], jaccard[label]] for label in self.output_labels]
        return Referenced(tuple(np.array(row).reshape(1, 1, 1, 3) for row in rows))

"""InfogainLoss: ``-mean(sum_k H[label, k] log(softmax(x)[k]))`` (Caffe's InfogainLoss layer)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vggrepro.caffe.binary import read_blob
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Needed,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.loss import (
    LOG_THRESHOLD,
    Averaging,
    ClassIndex,
    LossLayer,
    check_first_sizes,
    check_label_count,
    check_loss_weights,
    check_softmax,
    class_index,
    from_zero,
    reference_labels,
    reference_rows,
)
from vggrepro.layers.softmax import Softmax


@dataclass(frozen=True)
class _Saved:
    prob: str
    labels: ClassIndex
    matrix: str
    matrix_rows: str
    divisor: str


@register
@dataclass(frozen=True)
class InfogainLoss(LossLayer[_Saved]):
    """Bottoms: scores (N, C, ...); labels, one for each position, in any shape of that count; and
    H, any shape of C*C elements, unless ``source`` names a file (a BlobProto) that holds it.

    Tops: the loss (), and optionally the probabilities, shaped as the scores.
    """

    type = "InfogainLoss"
    bottoms = Count(2, 3)
    tops = Count(1, 2)

    axis: int = 1
    averaging: Averaging = field(default_factory=Averaging)
    matrix: tuple[float, ...] | None = field(default=None, repr=False)
    """H of the file, row by row; None where a third bottom gives it."""
    gives_prob: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> InfogainLoss:
        check_loss_weights(param)
        check_softmax(param)
        if param.loss_param.HasField("normalize"):
            raise NetError('normalize is deprecated. use "normalization"')
        return cls(
            axis=param.infogain_loss_param.axis,
            averaging=Averaging.from_param(param.loss_param),
            matrix=_read_matrix(param) if len(param.bottom) < 3 else None,
            gives_prob=len(param.top) > 1,
        )

    @classmethod
    def resolve_files(cls, definition: Any, resolve: Callable[[str], str]) -> None:
        """Resolve the path of the file that holds H."""
        param = definition.infogain_loss_param
        if param.source:
            param.source = resolve(param.source)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_first_sizes(bottoms)
        classes = bottoms[0][check_label_count(bottoms, self.axis, "infogain")]
        elements = math.prod(bottoms[2]) if self.matrix is None else len(self.matrix)
        if elements != classes * classes:
            raise ShapeError(
                "infogain->count() == num_labels_*num_labels_"
                f" ({elements} vs. {classes * classes}): H must be {classes}x{classes}"
            )
        return ((), tuple(bottoms[0])) if self.gives_prob else ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels:
        return AllowedLabels(1, bottoms[0][self.axis], self.averaging.ignore_label)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        scores, label = bottoms[:2]
        axis = self.axis % scores.rank
        matrix = self._matrix(g, bottoms, axis)
        labels = class_index(g, scores, label, axis, self.averaging.ignore_label)
        (prob,) = Softmax(axis).emit(g, [scores], (), ()).tops  # (N, C, ...)
        rows = _rows_at(g, matrix, labels.index, axis, scores.rank)
        log_prob = g.op("Log", g.op("Max", prob, g.const(LOG_THRESHOLD)))
        total = g.op("ReduceSum", labels.counted(g, g.op("Mul", rows, log_prob)), keepdims=0)
        divisor = self.averaging.divisor(g, scores, label, axis, labels.ignored)
        loss = g.op("Div", from_zero(g, total), divisor)
        saved = _Saved(prob, labels, matrix, rows, divisor)
        return Emitted((loss, prob) if self.gives_prob else (loss,), saved)

    def _matrix(self, g: GraphBuilder, bottoms: Sequence[Value], axis: int) -> str:
        """H as (C, C)."""
        scores = bottoms[0]
        (classes,) = Value(scores.name, scores.dims[axis : axis + 1]).shape
        if self.matrix is not None:
            return g.const(np.reshape(self.matrix, (classes, classes)))
        return g.op("Reshape", bottoms[2].name, g.ints([classes, classes]))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """``(p sum_k H[label, k] - H[label]) * weight / divisor``; the clamp is not seen here."""
        self.refuse(needed, 1, "label")
        if len(needed.bottoms) > 2:
            self.refuse(needed, 2, "infogain")
        others = (None,) * (len(needed.bottoms) - 1)
        weight = d_tops[0]
        if weight is None or not needed.bottoms[0]:
            return Gradients((None, *others))
        labels = saved.labels
        sums = g.op("ReduceSum", saved.matrix, g.ints([1]), keepdims=0)  # (C)
        expected = g.op("Mul", saved.prob, g.op("Gather", sums, labels.index))
        difference = g.op("Sub", expected, saved.matrix_rows)
        scaled = g.op("Mul", difference, g.op("Div", weight, saved.divisor))
        return Gradients((labels.counted(g, scaled), *others))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, label = bottoms[:2]
        (prob,) = Softmax(self.axis).reference([x], (), ()).tops
        rows = reference_rows(prob, self.axis)  # (labels, C)
        flat = np.asarray(self.matrix) if self.matrix is not None else bottoms[2].reshape(-1)
        values, counted = reference_labels(label, self.averaging.ignore_label)
        weights = flat.reshape(rows.shape[1], -1)[values]
        losses = -(weights * np.log(np.maximum(rows, LOG_THRESHOLD))).sum(axis=1)
        outer = math.prod(x.shape[: self.axis % x.ndim])
        loss = losses[counted].sum() / self.averaging.reference_divisor(outer, counted)
        return Referenced((loss, prob) if self.gives_prob else (loss,))


def _read_matrix(param: Any) -> tuple[float, ...]:
    if not param.infogain_loss_param.HasField("source"):
        raise NetError("Infogain matrix source must be specified.")
    return tuple(read_blob(param.infogain_loss_param.source).reshape(-1).tolist())


def _rows_at(g: GraphBuilder, matrix: str, index: str, axis: int, rank: int) -> str:
    """The row of (C, C) that each label names, laid out as the predictions: (N, C, ...)."""
    rows = g.op("Gather", matrix, g.op("Squeeze", index, g.ints([axis])), axis=0)  # (N, ..., C)
    if axis == rank - 1:
        return rows
    return g.op("Transpose", rows, perm=[*range(axis), rank - 1, *range(axis, rank - 1)])

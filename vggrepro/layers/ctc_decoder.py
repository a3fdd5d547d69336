"""CTCDecoder: the labels of the likeliest path (layers of two forks for reading text; not from BVLC Caffe).

Sources: hzli-ucas/caffe, branch ctc, field ``ctc_param``; and public CTC forks with the field
``ctc_decoder_param``. "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with
Recurrent Neural Networks", section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Count, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.label_sequences import emit_compacted


@register
@dataclass(frozen=True)
class CTCDecoder(Layer[None]):
    """Bottoms: scores of C labels in T steps of N sequences, and optionally indicators (T, N): a sequence
    ends before the first step, but the first of all, whose indicator is 0. Top (N, T, 1, 1): labels, and -1
    behind them. Second top (N, 1, 1, 1), of ``ctc_decoder_param``: the product of the best scores.

    The best label of each step is taken, the first of equal ones; labels that equal the one before, and
    blanks, are left out. ``decode: IN_PLACE`` leaves nothing out; neither does ``ctc_merge_repeated: false``
    leave out repetitions.

    With ``ctc_param`` the scores are (N, C, T), with a size of 1 before or behind T perhaps, or in the order
    that ``nct_axis`` says; with indicators, and with ``ctc_decoder_param``, (T, N, C). ``decode:
    BEAM_SEARCH`` and right labels as a bottom are refused; ``beam_width`` is of use with it alone, and
    ``already_softmax`` does not change which score is the best.
    """

    type = "CTCDecoder"
    origin = "CTC forks"
    bottoms = Count(1, 2)
    tops = Count(1, 2)
    has_gradient = False
    blind_bottoms = frozenset({1})
    first_counts: ClassVar[bool] = False
    """Whether the first indicator of a sequence may end it too."""

    blank: int
    """Counted from the end where it is below 0."""
    merges: bool = True
    keeps_all: bool = False
    order: tuple[int, int] | None = (0, 1)
    """The axes of N and C; None for (T, N, C)."""
    gives_scores: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CTCDecoder:
        second = len(param.top) > 1
        if param.HasField("ctc_decoder_param"):
            d = param.ctc_decoder_param
            if not (d.HasField("blank_index") and d.HasField("ctc_merge_repeated")) or len(param.bottom) != 2:
                raise UnsupportedError(
                    "ctc_decoder_param: blank_index and ctc_merge_repeated must be given, and two bottoms"
                )
            return cls(max(d.blank_index, -1), d.ctc_merge_repeated, order=None, gives_scores=second)
        p, indicated = param.ctc_param, len(param.bottom) > 1
        if p.decode == p.BEAM_SEARCH or second:
            raise UnsupportedError("ctc_param: decode: BEAM_SEARCH, and a second top, are not implemented")
        axes = tuple(p.nct_axis)
        if axes and (len(axes) != 2 or axes[0] == axes[1] or indicated):
            raise NetError("ctc_param: there should be 2 or no nct_axis, and none with indicators")
        order = None if indicated else (axes[0], axes[1]) if axes else (0, 1)
        return cls(p.blank_index, True, p.decode == p.IN_PLACE, order)

    def _axes(self, shape: Sequence[int | None]) -> list[int]:
        """The axes of N, T and C, then one of size 1 if there is one. Raises ShapeError."""
        if self.order is None:
            if len(shape) != 3:
                raise ShapeError(f"bottom[0] must be (T, N, C), got shape {tuple(shape)}")
            return [1, 0, 2]
        rest = [axis for axis in range(len(shape)) if axis not in self.order]
        if len(shape) not in (3, 4) or max(self.order) >= len(shape) or len(rest) != len(shape) - 2:
            raise ShapeError(f"bottom[0] must have 3 or 4 axes, {self.order} among them, got {tuple(shape)}")
        time, *ones = sorted(rest, key=lambda axis: (shape[axis] == 1, axis))
        if any(shape[axis] != 1 for axis in ones):
            raise ShapeError(f"The height or width should be 1 pixel, got shape {tuple(shape)}")
        return [self.order[0], time, self.order[1], *ones]

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        return frozenset(range(len(bottoms[0]))) - frozenset(self._axes(bottoms[0])[:1])

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, *indicators = bottoms
        number, steps, classes = (scores[axis] for axis in self._axes(scores)[:3])
        if not -classes <= self.blank < classes:
            raise ShapeError(f"blank_index {self.blank} is beyond {classes} labels")
        if indicators and indicators[0] != (steps, number):
            raise ShapeError(f"bottom[1] must be ({steps}, {number}), got shape {indicators[0]}")
        return ((number, steps, 1, 1), (number, 1, 1, 1))[: 1 + self.gives_scores]

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        scores, *indicators = bottoms
        axes = self._axes(scores.dims)
        steps, classes = Value(scores.name, (scores.dims[axes[1]], scores.dims[axes[2]])).shape
        rows = g.op("Transpose", scores.name, perm=axes)
        rows = g.op("Reshape", rows, g.ints([0, steps, classes])) if len(axes) == 4 else rows
        best = g.op("Cast", g.op("ArgMax", rows, axis=2, keepdims=0), to=FLOAT)  # (N, T)
        stays = goes_on = self._goes_on(g, best, indicators)
        if not self.keeps_all:
            stays = g.op("And", stays, g.op("Not", g.op("Equal", best, g.const(self.blank % classes))))
            if self.merges:
                before = g.op("Slice", best, g.ints([0]), g.ints([-1]), g.ints([1]))
                before = g.op("Pad", before, g.ints([0, 1, 0, 0]), g.const(-1))
                stays = g.op("And", stays, g.op("Not", g.op("Equal", best, before)))
        labels = emit_compacted(g, best, stays, steps, -1).values
        top = g.op("Unsqueeze", labels, g.ints([2, 3]))
        if not self.gives_scores:
            return Emitted((top,), None)
        largest = g.op("ReduceMax", rows, g.ints([2]), keepdims=0)
        product = g.op("ReduceProd", g.op("Where", goes_on, largest, g.const(1)), g.ints([1]))
        return Emitted((top, g.op("Unsqueeze", product, g.ints([2, 3]))), None)

    def _goes_on(self, g: GraphBuilder, best: str, indicators: Sequence[Value]) -> str:
        """Whether a sequence has a step, bool (N, T)."""
        if not indicators:
            return g.op("Equal", best, best)
        marks = g.op("Transpose", indicators[0].name, perm=[1, 0])
        ended = g.op("Cast", g.op("Equal", marks, g.const(0)), to=FLOAT)
        if not self.first_counts:
            later = g.op("Slice", ended, g.ints([1]), g.ints([np.iinfo(np.int64).max]), g.ints([1]))
            ended = g.op("Pad", later, g.ints([0, 1, 0, 0]), g.const(0))
        return g.op("Less", g.op("CumSum", ended, g.ints(1)), g.const(0.5))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores, *indicators = bottoms
        axes = self._axes(scores.shape)
        rows = scores.transpose(axes).reshape([scores.shape[axis] for axis in axes[:3]])
        number, steps, classes = rows.shape
        top, product = np.full((number, steps, 1, 1), -1.0), np.ones((number, 1, 1, 1))
        for n, row in enumerate(rows):
            before, place = -1, 0
            for t, step in enumerate(row):
                if indicators and (t > 0 or self.first_counts) and indicators[0][t, n] == 0:
                    break
                label = int(step.argmax())
                product[n] *= step.max()
                dropped = label == self.blank % classes or (self.merges and label == before)
                if self.keeps_all or not dropped:
                    top[n, place] = label
                    place += 1
                before = label
        return Referenced((top, product)[: 1 + self.gives_scores])

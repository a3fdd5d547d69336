"""EvalDetection: which boxes of a YOLO net are right (a layer of YOLO forks; not from BVLC Caffe).

Source: choasup/caffe-yolo9000 and its kin, field ``eval_detection_param``: with ``biases`` for the second
YOLO, without them for the first. Who collects its rows over a set can make the mean average precision of
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.box_code import Pairs, emit_overlap, overlap
from vggrepro.layers.rules.yolo_predictions import YoloBoxes, YoloPredictions, YoloRight, corners_of

LEAST = 0.005
"""The second YOLO's boxes with a smaller score are left out."""

ROW = 4
"""Label, score, right, wrong."""


@register
@dataclass(frozen=True)
class EvalDetection(Layer[None]):
    """Bottoms: predictions and right boxes, of the first YOLO as DetectionLoss takes them, of the second as
    RegionLoss does, labels (N, 150). Top (N, C + 4 P): how many right boxes of each class count, and for each
    of the P boxes label, score, whether it is right, whether it is wrong.

    A box's label is its surest class, its score the confidence, the class's probability or their product.
    With a positive ``nms``, one stays unless it overlaps a surer one that stayed, of any label, by ``nms``
    or more; the second YOLO's must have a score of 0.005 besides. Those that stay are sorted by label and
    falling score, rows of 0 are behind them. The surest box that overlaps a right one of its label most, by
    ``threshold``, is right, the next one is wrong, and so is one that overlaps none by so much; with the
    second YOLO only if there is none of its label. Boxes that overlap a difficult one are neither.

    DEVIATION: a box that overlaps another by ``nms`` exactly stays. Of equal scores the first box comes
    first, where the forks do not say.
    """

    type = "EvalDetection"
    origin = "YOLO forks"
    bottoms = exactly(2)
    has_gradient = False

    predicted: YoloPredictions
    threshold: float
    nms: float | None

    @classmethod
    def from_param(cls, param: Any, phase: int) -> EvalDetection:
        p = param.eval_detection_param
        if min(p.side, p.num_class, p.num_object) < 1 or p.threshold < 0:
            raise NetError(
                "eval_detection_param: side, num_class, num_object must be positive, threshold not negative"
            )
        if p.nms == 0 or p.nms > 1 or (p.biases and p.nms < 0):
            raise UnsupportedError(
                f"eval_detection_param: nms {p.nms:g}; expected above 0 and up to 1, or none without biases"
            )
        if p.biases and len(p.biases) < 2 * p.num_object:
            raise NetError(f"eval_detection_param: needs {2 * p.num_object} biases, got {len(p.biases)}")
        ends = 2 * p.num_object
        anchors = tuple(zip(p.biases[:ends:2], p.biases[1:ends:2], strict=True))
        score = p.ScoreType.Name(p.score_type)
        predicted = YoloPredictions(p.side, p.num_class, p.num_object, score, p.sqrt, p.constriant, anchors)
        return cls(predicted, p.threshold, p.nms if p.nms > 0 else None)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        self.predicted.check(*bottoms)
        return ((bottoms[0][0], self.predicted.classes + ROW * self.predicted.number),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        found, score = self.predicted.emit(g, bottoms[0])
        right = self.predicted.emit_right(g, *bottoms)
        ahead = _pairwise(g, "Less", score, score)
        tied = g.op(
            "And", _pairwise(g, "Equal", score, score), g.const(np.tri(self.predicted.number, k=-1) > 0, bool)
        )
        ahead = g.op("Or", ahead, tied)  # (N, P, P): whether the box of the column is surer
        kept = self._kept(g, found, score, ahead)
        good, bad = self._judged(g, found, right, kept, ahead)
        parts = [g.op("Cast", found.label, to=FLOAT), score, good, bad]
        rows = g.op("Concat", *(g.op("Unsqueeze", part, g.ints([2])) for part in parts), axis=2)
        rows = g.op("Mul", rows, g.op("Unsqueeze", g.op("Cast", kept, to=FLOAT), g.ints([2])))
        before = g.op("And", _pairwise(g, "Equal", found.label, found.label), ahead)
        before = g.op("Or", before, _pairwise(g, "Greater", found.label, found.label))
        before = g.op("And", before, g.op("Unsqueeze", kept, g.ints([1])))
        place = g.op("Where", kept, g.op("Cast", _number(g, before), to=INT64), self._behind(g))
        index = g.ops("TopK", place, g.ints([self.predicted.number]), outputs=2, axis=1, largest=0)[1]
        rows = g.op("GatherND", rows, g.op("Unsqueeze", index, g.ints([2])), batch_dims=1)
        mine = g.op(
            "Equal",
            g.op("Unsqueeze", right.boxes.label, g.ints([1])),
            g.const(np.arange(self.predicted.classes)[:, None], np.int64),
        )
        totals = _number(g, g.op("And", mine, g.op("Unsqueeze", right.counts, g.ints([1]))))
        top = g.op("Concat", totals, g.op("Flatten", rows, axis=1), axis=1)
        return Emitted((top,), None)

    def _behind(self, g: GraphBuilder) -> str:
        """Places behind all others for boxes that do not stay, int64 (P)."""
        return g.ints(list(range(self.predicted.number, 2 * self.predicted.number)))

    def _kept(self, g: GraphBuilder, found: YoloBoxes, score: str, ahead: str) -> str:
        """Which boxes stay: bool (N, P)."""
        if self.nms is None:
            return g.op("Equal", score, score)
        ranks = g.op("Sub", g.const(self.predicted.number), _number(g, ahead))
        chosen = g.op(
            "NonMaxSuppression",
            g.op("Concat", found.centre, found.side, axis=2),
            g.op("Unsqueeze", ranks, g.ints([1])),
            g.ints([self.predicted.number]),
            g.const([self.nms]),
            center_point_box=1,
        )
        where = g.op("Gather", chosen, g.ints([0, 2]), axis=1)
        ones = g.op("Expand", g.const(1), g.op("Shape", where, end=1))
        zeros = g.op("Expand", g.const(0), g.op("Shape", score))
        kept = g.op("Greater", g.op("ScatterND", zeros, where, ones), g.const(0))
        if not self.predicted.anchors:
            return kept
        return g.op("And", kept, g.op("GreaterOrEqual", score, g.const(LEAST)))

    def _judged(
        self, g: GraphBuilder, found: YoloBoxes, right: YoloRight, kept: str, ahead: str
    ) -> tuple[str, str]:
        """1 for boxes that are right, and for those that are wrong, (N, P)."""
        own = g.op(
            "And",
            _pairwise(g, "Equal", found.label, right.boxes.label),
            g.op("Unsqueeze", right.real, g.ints([1])),
        )
        overlaps = emit_overlap(g, _corners(g, found, 2), _corners(g, right.boxes, 1))
        overlaps = g.op("Where", own, overlaps, g.const(-1))  # (N, P, K)
        best = g.op("ReduceMax", overlaps, g.ints([2]), keepdims=0)
        nearest = g.op("ArgMax", overlaps, axis=2, keepdims=0)
        matches = g.op("And", kept, g.op("GreaterOrEqual", best, g.const(self.threshold)))
        easy = g.op("GatherND", right.counts, g.op("Unsqueeze", nearest, g.ints([2])), batch_dims=1)
        counts = g.op("And", matches, easy)
        earlier = g.op(
            "And",
            g.op("And", ahead, g.op("Unsqueeze", counts, g.ints([1]))),
            _pairwise(g, "Equal", nearest, nearest),
        )
        repeats = g.op("And", counts, g.op("Greater", _number(g, earlier), g.const(0)))
        lost = g.op("Less", best, g.const(0 if self.predicted.anchors else self.threshold))
        good = g.op("And", counts, g.op("Not", repeats))
        return g.op("Cast", good, to=FLOAT), g.op("Cast", g.op("Or", lost, repeats), to=FLOAT)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        top = np.zeros(shape)
        for out, x, y in zip(top, *bottoms, strict=True):
            label, score, boxes = self.predicted.reference(x)
            right = self.predicted.reference_right(y.reshape(-1))  # label, box, whether it counts
            out[: self.predicted.classes] = [
                ((right[:, 0] == c) & (right[:, 5] > 0)).sum() for c in range(self.predicted.classes)
            ]
            order = np.argsort(-score, kind="stable")
            kept: list[int] = []
            for index in order:
                near = overlap(boxes[index], boxes[kept]) if kept else np.zeros(1)
                if self.nms is None or (near <= np.float32(self.nms)).all():
                    kept.append(int(index))
            if self.predicted.anchors:
                kept = [index for index in kept if score[index] >= np.float32(LEAST)]
            kept.sort(key=lambda index: label[index])
            rows = self._reference_rows(label[kept], score[kept], boxes[kept], right)
            out[self.predicted.classes : self.predicted.classes + rows.size] = rows.reshape(-1)
        return Referenced((top,))

    def _reference_rows(self, label: Array, score: Array, boxes: Array, right: Array) -> Array:
        """Rows of one image's boxes that stay, in order."""
        taken = np.zeros(len(right), bool)
        rows = np.zeros((len(label), ROW))
        for row, name, sure, box in zip(rows, label, score, boxes, strict=True):
            own = np.flatnonzero(right[:, 0] == name)
            row[:2] = name, sure
            if not len(own):
                row[3] = 1
                continue
            overlaps = overlap(box, corners_of(right[own, 1:5]))
            nearest = own[overlaps.argmax()]
            if overlaps.max() < np.float32(self.threshold):
                row[3] = 0 if self.predicted.anchors else 1
            elif right[nearest, 5]:
                row[3 if taken[nearest] else 2] = 1
                taken[nearest] = True
        return rows


def _corners(g: GraphBuilder, boxes: YoloBoxes, axis: int) -> Pairs:
    """The corners, with a further axis for those that they are compared with."""
    half = g.op("Mul", boxes.side, g.const(0.5))
    ends = (g.op("Sub", boxes.centre, half), g.op("Add", boxes.centre, half))
    return Pairs(*(g.op("Unsqueeze", end, g.ints([axis])) for end in ends))


def _pairwise(g: GraphBuilder, comparison: str, rows: str, columns: str) -> str:
    """A comparison of each of ``rows`` (N, R) with each of ``columns`` (N, C): bool (N, R, C)."""
    return g.op(comparison, g.op("Unsqueeze", rows, g.ints([2])), g.op("Unsqueeze", columns, g.ints([1])))


def _number(g: GraphBuilder, flags: str) -> str:
    """How many flags (N, R, C) of each row are true: float32 (N, R)."""
    return g.op("ReduceSum", g.op("Cast", flags, to=FLOAT), g.ints([2]), keepdims=0)

"""FrcnnOutput: the boxes that a detection network is sure of, without those that overlap a surer one (Cascade
R-CNN's layer; not from BVLC Caffe).

Source: zhaoweicai/cascade-rcnn, fields ``frcnn_output_param`` and ``bbox_reg_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, DataRows, Emitted, Layer, Reach, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.pooling_nodes import LOWEST
from vggrepro.layers.rules.sampling import emit_any
from vggrepro.layers.rules.sure_boxes import Candidates, SureBoxes, check_suppression

ROW = 7
"""Index of the image, x1, y1, x2, y2, label, score."""


@register
@dataclass(frozen=True)
class FrcnnOutput(Layer[None]):
    """Bottoms: probabilities of C classes, that of the background first (R, C); x, y, width and height of
    each class (R, 4 C), with ``cls_aware: false`` of the background and of objects (R, 8); regions (R, 5) or
    more: index of the image, which is 0, x1, y1, x2, y2; height and width of the image (1, 2).

    Top (1 + K, 7, 1, 1): index of the image, x1, y1, x2, y2, label and score; in the first row the index
    alone, the rest is -1. Of each class the boxes with a score of ``conf_thr`` or more, cut at the image's
    edges, are candidates; one stays unless it overlaps a surer one that stayed by more than ``iou_thr``. Of
    all of them the ``max_det_num`` surest stay, 0 for no limit; rows come class by class, the surest first.

    DEVIATION: the number of boxes depends on the data, a top's shape here does not: K is the largest number
    possible, and rows of -1 are behind the boxes. Regions whose corners are all 0, which fill up the tops of
    BoxGroupOutput, and boxes that lie out of the image give none. Nothing is written to files.

    NonMaxSuppression has no CUDA kernel.
    """

    type = "FrcnnOutput"
    origin = "Cascade R-CNN"
    bottoms = exactly(4)
    data_rows = DataRows(0, -1)
    has_gradient = False

    statistics: BoxStatistics
    agnostic: bool = False
    least: float = 0.0
    threshold: float = 0.5
    most: int = 0

    @classmethod
    def from_param(cls, param: Any, phase: int) -> FrcnnOutput:
        p = param.frcnn_output_param
        check_suppression(p.nms_type)
        if p.iou_thr < 0:
            raise NetError(f"frcnn_output_param: iou_thr must not be negative, got {p.iou_thr:g}")
        agnostic = not param.bbox_reg_param.cls_aware
        return cls(BoxStatistics.from_param(param), agnostic, p.conf_thr, p.iou_thr, p.max_det_num)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        prob, coded, regions, size = ((shape[0], prod(shape[1:])) for shape in bottoms)
        columns = 8 if self.agnostic else 4 * prob[1]
        if prob[1] < 2 or coded != (prob[0], columns) or regions[0] != prob[0] or regions[1] < 5:
            raise ShapeError(
                f"bottoms must be (R, C), (R, {'8' if self.agnostic else '4 C'}) and (R, 5), got"
                f" {', '.join(str(tuple(shape)) for shape in bottoms[:3])}"
            )
        if size != (1, 2):
            raise ShapeError(f"bottom[3] must be height and width of the image (1, 2), got {bottoms[3]}")
        return ((1 + self._kept(*prob), ROW, 1, 1),)

    def _kept(self, regions: int, classes: int) -> int:
        every = regions * (classes - 1)
        return min(self.most, every) if self.most else every

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        number, *rest = bottoms[0].shape
        classes = prod(rest)
        boxes, some = self._boxes(g, bottoms, classes)  # (C - 1, R, 4)
        prob = g.op("Transpose", g.op("Reshape", bottoms[0].name, g.ints([0, classes])), perm=[1, 0])
        prob = g.op("Slice", prob, g.ints([1]), g.ints([classes]), g.ints([0]))  # (C - 1, R)
        sure = g.op("And", some, g.op("GreaterOrEqual", prob, g.const(self.least)))
        scores = g.op("Where", sure, prob, g.const(LOWEST))
        rows, stays = self._sure.emit(g, Candidates(boxes, scores), number)
        kept = self._kept(number, classes)
        every = g.ints(range(number * (classes - 1)))
        real = g.op("Less", every, stays)
        score = g.op("Where", real, g.op("Gather", rows, g.ints(5), axis=1), g.const(LOWEST))
        _, index = g.ops("TopK", score, g.ints([kept]), outputs=2, axis=0)
        index, _ = g.ops("TopK", index, g.ints([kept]), outputs=2, axis=0, largest=0)
        label, box, score = g.ops("Split", g.op("Gather", rows, index), g.ints([1, 4, 1]), outputs=3, axis=1)
        image, label = g.op("Mul", label, g.const(0)), g.op("Add", label, g.const(1))
        found = g.op("Concat", image, box, label, score, axis=1)
        found = g.op("Where", g.op("Unsqueeze", g.op("Gather", real, index), g.ints([1])), found, g.const(-1))
        top = g.op("Concat", g.const([[0, *[-1] * (ROW - 1)]]), found, axis=0)
        return Emitted((g.op("Unsqueeze", top, g.ints([2, 3])),), None)

    @property
    def _sure(self) -> SureBoxes:
        return SureBoxes(self.threshold, pixels=True)

    def _boxes(self, g: GraphBuilder, bottoms: Sequence[Value], classes: int) -> tuple[str, str]:
        """Of each class but the background the boxes (C - 1, R, 4), and which are some, bool."""
        columns = 2 if self.agnostic else classes
        coded = g.op("Reshape", bottoms[1].name, g.ints([0, columns, 4]))
        coded = self.statistics.emit(g, g.op("Slice", coded, g.ints([1]), g.ints([columns]), g.ints([1])))
        regions = g.op("Reshape", bottoms[2].name, g.ints([bottoms[0].shape[0], -1]))
        corners = g.op("Slice", regions, g.ints([1]), g.ints([5]), g.ints([1]))
        first, last = g.ops(
            "Split", g.op("Unsqueeze", corners, g.ints([1])), outputs=2, axis=2, num_outputs=2
        )
        shift, stretch = g.ops("Split", coded, outputs=2, axis=2, num_outputs=2)  # (R, C - 1, 2)
        side = g.op("Add", g.op("Sub", last, first), g.const(1))
        middle = g.op("Mul", g.op("Add", first, last), g.const(0.5))
        middle = g.op("Add", g.op("Mul", shift, side), middle)
        length = g.op("Sub", g.op("Mul", g.op("Exp", stretch), side), g.const(1))  # without its last pixel
        begin = g.op("Sub", middle, g.op("Mul", length, g.const(0.5)))
        end = g.op("Add", begin, length)
        size = g.op("Gather", g.op("Reshape", bottoms[3].name, g.ints([-1])), g.ints([1, 0]), axis=0)
        begin, end = g.op("Max", begin, g.const(0)), g.op("Min", end, size)
        real = emit_any(g, g.op("Not", g.op("Equal", corners, g.const(0))), 1)  # (R)
        out = emit_any(g, g.op("Less", end, begin), 2)  # (R, C - 1)
        some = g.op("And", g.op("Unsqueeze", real, g.ints([1])), g.op("Not", out))
        boxes = g.op("Transpose", g.op("Concat", begin, end, axis=2), perm=[1, 0, 2])
        # All classes have the boxes of one, or their own.
        shape = g.ints([classes - 1, bottoms[0].shape[0], 4])
        return g.op("Expand", boxes, shape), g.op("Transpose", some, perm=[1, 0])

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        prob, coded, regions = (bottom.reshape(len(bottom), -1) for bottom in bottoms[:3])
        classes = prob.shape[1]
        own = self.statistics.reference(coded.reshape(len(prob), -1, 4))
        first, last = regions[:, None, 1:3], regions[:, None, 3:5]
        side = last - first + 1
        middle, length = (first + last) / 2 + own[..., :2] * side, np.exp(own[..., 2:]) * side - 1
        begin = np.maximum(middle - length / 2, 0)
        end = np.minimum(middle + length / 2, bottoms[3].reshape(-1)[[1, 0]])
        boxes = np.concatenate([begin, end], axis=2)  # (R, C or 2, 4)
        some = (end >= begin).all(2) & (regions[:, 1:5] != 0).any(1, keepdims=True)
        found: list[list[float]] = []
        for label in range(1, classes):
            place = 1 if self.agnostic else label
            scores = np.where(
                some[:, place] & (prob[:, label] >= np.float32(self.least)), prob[:, label], LOWEST
            )
            stays = self._sure.reference(boxes[:, place], scores)
            found += [[0, *row[:4], label, row[4]] for row in stays]
        kept = self._kept(*prob.shape)
        surest = sorted(sorted(range(len(found)), key=lambda index: -found[index][6])[:kept])
        top = np.full((1 + kept, ROW), -1.0)
        top[0, 0] = 0
        for place, index in enumerate(surest, 1):
            top[place] = found[index]
        return Referenced((top[:, :, None, None],))

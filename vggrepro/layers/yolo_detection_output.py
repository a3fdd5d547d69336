"""YoloDetectionOutput and Yolov3DetectionOutput: boxes that a YOLO net is sure of, without those that overlap
a surer one (layers of a fork; not from BVLC Caffe).

Source: eric612/MobileNet-YOLO, fields ``yolo_detection_output_param`` and ``yolov3_detection_output_param``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Count, DataRows, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.box_code import suppressed

ROW = 7
"""Image, label, confidence, xmin, ymin, xmax, ymax."""

BOX = 5
"""Channels of a box in front of its classes: x, y, width, height, whether there is an object."""

Side = tuple[float, float]


class _Candidates(NamedTuple):
    """One for each box: its corners (B, 4), confidence and class (B)."""

    boxes: str
    scores: str
    labels: str


@dataclass(frozen=True)
class _YoloOutput(Layer[None]):
    """What both layers do."""

    origin = "MobileNet-YOLO"
    has_gradient = False
    data_rows = DataRows(2, -1)

    classes: int
    anchors: tuple[tuple[Side, ...], ...]
    """Width and height of each box, for each bottom."""
    scales: tuple[float, ...]
    """By which, times the side of the grid, the anchors are divided."""
    least: float
    """Confidences above this one count."""
    nms_threshold: float

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms) != len(self.anchors):
            raise NetError(f"anchors are given for {len(self.anchors)} bottoms, there are {len(bottoms)}")
        boxes = 0
        for index, (shape, anchors) in enumerate(zip(bottoms, self.anchors, strict=True)):
            channels = len(anchors) * (BOX + self.classes)
            if len(shape) != 4 or shape[1] != channels or shape[2] != shape[3]:
                raise ShapeError(
                    f"bottom[{index}] must be (1, {channels}, S, S) for {len(anchors)} boxes and"
                    f" {self.classes} classes, got shape {shape}"
                )
            if shape[0] != 1:
                raise UnsupportedError(
                    f"only one image: the layer mixes those of a batch, of {shape[0]} here"
                )
            boxes += shape[2] * shape[3] * len(anchors)
        return ((1, 1, boxes, ROW),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        sides = [Value(bottom.name, bottom.dims[3:]).shape[0] for bottom in bottoms]
        each = [self._candidates(g, bottom.name, t, sides[t]) for t, bottom in enumerate(bottoms)]
        boxes, scores, labels = (
            parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=0)
            for parts in zip(*each, strict=True)
        )
        number = sum(side * side * len(anchors) for side, anchors in zip(sides, self.anchors, strict=True))
        scores, order = g.ops("TopK", scores, g.ints([number]), outputs=2, axis=0)
        boxes = g.op("Gather", boxes, order, axis=0)
        labels = g.op("Add", g.op("Cast", g.op("Gather", labels, order, axis=0), to=FLOAT), g.const(1))
        kept = self._kept(g, boxes, scores, number)
        columns = [g.op("Unsqueeze", column, g.ints([1])) for column in (labels, scores)]
        rows = g.op("Pad", g.op("Concat", *columns, boxes, axis=1), g.ints([0, 1, 0, 0]))  # image 0
        found = g.op("Gather", rows, kept, axis=0)
        missing = g.op("Sub", g.ints([number]), g.op("Shape", kept))
        pads = g.op("Concat", g.ints([0, 0]), missing, g.ints([0]), axis=0)
        rows = g.op("Pad", found, pads, g.const(-1))
        nothing = g.op("Equal", missing, g.ints([number]))
        first = g.const(np.arange(number * ROW).reshape(number, ROW) == 0, np.bool_)
        rows = g.op("Where", g.op("And", first, nothing), g.const(0), rows)
        return Emitted((g.op("Unsqueeze", rows, g.ints([0, 1])),), None)

    def _candidates(self, g: GraphBuilder, x: str, index: int, side: int) -> _Candidates:
        """Of one bottom, by row, column and box."""
        split = g.op("Reshape", x, g.ints([len(self.anchors[index]), BOX + self.classes, side * side]))
        table = g.op("Reshape", g.op("Transpose", split, perm=[2, 0, 1]), g.ints([-1, BOX + self.classes]))
        sizes = g.ints([2, 2, 1, self.classes])
        centre, stretch, sure, classes = g.ops("Split", table, sizes, outputs=4, axis=1)
        corner, anchors = self._grid(index, side)
        middle = g.op("Mul", g.op("Add", g.op("Sigmoid", centre), g.const(corner)), g.const(1 / side))
        half = g.op("Mul", g.op("Exp", stretch), g.const(anchors / 2))
        corners = (g.op("Sub", middle, half), g.op("Add", middle, half))
        confidences = g.op("Mul", self._shares(g, classes), g.op("Sigmoid", sure))
        return _Candidates(
            g.op("Concat", *corners, axis=1),
            g.op("ReduceMax", confidences, g.ints([1]), keepdims=0),
            g.op("ArgMax", confidences, axis=1, keepdims=0),
        )

    def _grid(self, index: int, side: int) -> tuple[Array, Array]:
        """For each box of a bottom the column and row of its cell, and its width and height."""
        anchors = np.array(self.anchors[index], np.float64) / (side * self.scales[index])
        down, across, box = np.indices((side, side, len(anchors)))
        corner: Array = np.stack([across, down], axis=-1).reshape(-1, 2)
        return corner, anchors[box.reshape(-1)]

    @abstractmethod
    def _shares(self, g: GraphBuilder, classes: str) -> str:
        """How sure the net is of each class, given an object."""

    def _kept(self, g: GraphBuilder, boxes: str, scores: str, number: int) -> str:
        """Which of the sorted boxes stay, in order: int64. Ranks stand for the scores, so that ties are
        settled already. The threshold itself is too much here, not so for NonMaxSuppression."""
        ranks = g.op(
            "Where",
            g.op("Greater", scores, g.const(self.least)),
            g.const(np.arange(number, 0, -1)),
            g.const(0),
        )
        selected = g.op(
            "NonMaxSuppression",
            g.op("Unsqueeze", boxes, g.ints([0])),
            g.op("Unsqueeze", ranks, g.ints([0, 1])),
            g.ints([number]),
            g.const([_below(self.nms_threshold)]),
            g.const([0.5]),
        )
        return g.op("Gather", selected, g.ints(2), axis=1)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        tables, grids = [], []
        for index, bottom in enumerate(bottoms):
            split = bottom.reshape(len(self.anchors[index]), BOX + self.classes, -1)
            tables.append(split.transpose(2, 0, 1).reshape(-1, BOX + self.classes))
            corner, anchors = self._grid(index, bottom.shape[3])
            grids.append(np.concatenate([corner, np.full_like(corner, bottom.shape[3]), anchors], axis=1))
        table, grid = np.concatenate(tables), np.concatenate(grids)
        middle = (_sigmoid(table[:, :2]) + grid[:, :2]) / grid[:, 2:4]
        half = np.exp(table[:, 2:4]) * grid[:, 4:] / 2
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        confidences = self._reference_shares(table[:, BOX:]) * _sigmoid(table[:, 4:BOX])
        scores, labels = confidences.max(1), confidences.argmax(1)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > self.least]
        stays = order[suppressed(boxes[order], _below(self.nms_threshold))]
        top = np.full(shape, -1.0)
        top[0, 0, : max(len(stays), 1), 0] = 0
        top[0, 0, : len(stays), 1:] = np.column_stack([labels[stays] + 1, scores[stays], boxes[stays]])
        return Referenced((top,))

    @abstractmethod
    def _reference_shares(self, classes: Array) -> Array:
        """The same in float64 NumPy."""


@register
@dataclass(frozen=True)
class YoloDetectionOutput(_YoloOutput):
    """Bottoms: what the net predicts, (1, num_box * (5 + classes), S, S), one or two of them. Top
    (1, 1, M, 7), a row for each detection: 0, label, confidence, xmin, ymin, xmax, ymax in units of the
    image. Falling confidences; labels begin with 1.

    A box is in its cell by the sigmoids of x and y, and its anchor times the exponentials wide and high. Its
    confidence is the sigmoid of the fifth number times the largest share of a softmax over classes. Of the
    boxes with ``confidence_threshold`` at least, from the surest down, one stays unless it overlaps one
    that stayed by ``nms_threshold`` or more, of whatever class.

    DEVIATION: the number of detections depends on the data, a top's shape here does not. M is the number of
    boxes; the detections come first, all that is behind them is -1. Where there are none, the first row
    begins with 0, as in the fork. Of equal confidences the earlier box is taken, where the fork's sort does
    not say. The fork mixes the images of a batch; here there can be one.

    NonMaxSuppression has no CUDA kernel.
    """

    type = "YoloDetectionOutput"
    bottoms = Count(1, 2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> YoloDetectionOutput:
        p = param.yolo_detection_output_param
        _check(p)
        if p.coords != 4:
            raise UnsupportedError(f"yolo_detection_output_param: coords {p.coords}, only 4 is implemented")
        anchors = _sides(p.biases, range(p.num_box))
        number = len(param.bottom)
        least = _below(p.confidence_threshold)
        return cls(p.num_classes, (anchors,) * number, (1.0,) * number, least, p.nms_threshold)

    def _shares(self, g: GraphBuilder, classes: str) -> str:
        return g.op("Softmax", classes, axis=1)

    def _reference_shares(self, classes: Array) -> Array:
        powers = np.exp(classes - classes.max(1, keepdims=True))
        shares: Array = powers / powers.sum(1, keepdims=True)
        return shares


@register
@dataclass(frozen=True)
class Yolov3DetectionOutput(_YoloOutput):
    """As :class:`YoloDetectionOutput`, for any number of bottoms, but: a class's confidence is its sigmoid
    times that of the fifth number, and must be above ``confidence_threshold``. Anchors are in pixels: divided
    by the grid's side times ``anchors_scale``. ``mask`` says which each bottom has.

    The fork makes a candidate of each class of a box that is sure enough; the surest suppresses the others.

    DEVIATION: rows, ties and batches as there.
    """

    type = "Yolov3DetectionOutput"
    bottoms = Count(1, None)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Yolov3DetectionOutput:
        p = param.yolov3_detection_output_param
        _check(p)
        number = len(param.bottom)
        if number != p.mask_group_num:
            raise NetError(f"Check failed: bottom.size() == mask_group_num ({number} vs. {p.mask_group_num})")
        if len(p.anchors_scale) < number or min(p.anchors_scale) < 1:
            raise NetError(
                f"yolov3_detection_output_param: needs an anchors_scale for each of {number} bottoms"
            )
        step = len(p.mask) // number
        if (number - 1) * step + p.num_box > len(p.mask):
            raise NetError(
                f"yolov3_detection_output_param: {len(p.mask)} mask are too few for {number} bottoms"
            )
        anchors = tuple(_sides(p.biases, p.mask[t * step : t * step + p.num_box]) for t in range(number))
        scales = tuple(map(float, p.anchors_scale[:number]))
        return cls(p.num_classes, anchors, scales, p.confidence_threshold, p.nms_threshold)

    def _shares(self, g: GraphBuilder, classes: str) -> str:
        return g.op("Sigmoid", classes)

    def _reference_shares(self, classes: Array) -> Array:
        return _sigmoid(classes)


def _check(p: Any) -> None:
    """What both layers' parameters need."""
    if not p.HasField("num_classes") or p.num_classes < 1 or p.num_box < 1:
        got = f"{p.num_classes} and {p.num_box}"
        raise NetError(f"Must specify num_classes, above 0 as num_box is; got {got}")
    if not 0 < p.nms_threshold <= 1:
        raise UnsupportedError(f"nms_threshold {p.nms_threshold}, only above 0 and up to 1 is implemented")


def _sides(biases: Sequence[float], which: Sequence[int]) -> tuple[Side, ...]:
    """The anchors of these indices: each has a width and a height in ``biases``."""
    if max(which) * 2 + 1 >= len(biases):
        raise NetError(f"{len(biases)} biases are too few for the anchors {list(which)}")
    return tuple((biases[2 * index], biases[2 * index + 1]) for index in which)


def _below(threshold: float) -> float:
    """The float32 number before it: above that one is the threshold and all that is larger."""
    return float(np.nextafter(np.float32(threshold), np.float32(-1)))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))

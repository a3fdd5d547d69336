"""RegionLoss: how far the boxes of a YOLO v2 net are from the right ones (a layer of YOLO forks; not from
BVLC Caffe).

Three forks' layers of one name and one field, ``region_loss_param``. Two are told apart by their labels:
those of gklz1982/caffe-yolov2 and its kin are (N, 150), those of choasup/caffe-yolo9000 AnnotatedData's. The
third is eric612/MobileNet-YOLO's: ``--fork mobilenet-yolo``. Paper: "YOLO9000: Better, Faster, Stronger".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Needed,
    Reach,
    Referenced,
    Shapes,
    StateDef,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.anchor_boxes import (
    AnchorBoxes,
    AnchorGrid,
    as_table,
    emit_as_predictions,
    emit_boxes,
    emit_corners,
    emit_near,
    emit_right_corners,
)
from vggrepro.layers.rules.box_code import Pairs, emit_overlap, overlap
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.loss import LossLayer, count
from vggrepro.layers.rules.region_classes import NOWHERE, RegionClasses
from vggrepro.layers.rules.yolo_truth import (
    ROWS,
    YoloTruth,
    emit_yolo_truth,
    is_annotated,
    yolo_truth,
)

WARM_UP = 12800
"""Images in whose iterations all boxes are drawn toward their anchors."""

WARM_SCALE = 0.01


class _Saved(NamedTuple):
    bottoms: tuple[Value, Value]
    slopes: str
    """(N, A, 5 + C)."""


@register
@dataclass(frozen=True)
class RegionLoss(LossLayer[_Saved]):
    """Bottoms: predictions (N, B * (5 + C), S, S), for each anchor x, y, width, height, confidence and
    classes, and labels (:mod:`vggrepro.layers.rules.yolo_truth`). Top: the loss (), the sum of the squares of
    the slopes, of which the gradient is the N-th part.

    The confidence of a box that overlaps no right one by more than ``thresh`` should be 0. In the cell of a
    right box's centre the anchor that overlaps it most (with ``bias_match: 0`` the predicted box), both laid
    one upon the other, should become it, sure of its class; of several right boxes of an anchor, the last.
    Labels (N, 150): in the first 12800 / N passes every box is drawn toward its anchor besides. The others:
    slopes of places end at 1 before the scale, and those of confidences that should be 1 are ``2 (1 - p)^2``
    times as large. MobileNet-YOLO: the loss is divided by N, and confidences should be the overlap with the
    right box, or with ``rescore: 0`` 1, but then slopes of places are multiplied by 2 less its area.

    ``class_map`` names a file with a class for each label. ``softmax_tree`` names one with a tree of labels
    (:mod:`vggrepro.layers.rules.label_tree`), which then begin with 0: a right box teaches the groups of its
    label and of its parents. A centre beyond 100000 says that its image has the label somewhere: the box that
    is surest of it learns the label, and to be sure by 0.3.

    DEVIATION: passes are counted for each layer, not all layers together. Boxes whose centre is out of the
    image teach nothing, where the forks write elsewhere.
    """

    type = "RegionLoss"
    origin = "YOLO forks"
    right_boxes = frozenset({1})

    side: int
    classes: RegionClasses
    anchors: tuple[tuple[float, float], ...]
    """Widths and heights, in cells."""
    scales: tuple[float, float, float] = (1.0, 0.5, 5.0)
    """Of confidences with an object and without, of places."""
    threshold: float = 0.2
    by_anchor: bool = True
    rescored: bool | None = None
    """MobileNet-YOLO's ``rescore``; None for the other forks, which do not read it."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> RegionLoss:
        p = param.region_loss_param
        if p.mobilenet_yolo and (p.softmax_tree or p.class_map):
            raise UnsupportedError("region_loss_param: MobileNet-YOLO reads no softmax_tree and no class_map")
        if p.coords != 4:
            raise UnsupportedError(f"region_loss_param: coords {p.coords}, only 4 is implemented")
        if min(p.side, p.num_class, p.num) < 1 or len(p.biases) < 2 * p.num:
            raise NetError(
                f"region_loss_param: needs side, num_class, num and {2 * p.num} biases, got {len(p.biases)}"
            )
        anchors = tuple(zip(p.biases[: 2 * p.num : 2], p.biases[1 : 2 * p.num : 2], strict=True))
        scales = (p.object_scale, p.noobject_scale, p.coord_scale)
        rescored = bool(p.rescore) if p.mobilenet_yolo else None
        classes = RegionClasses.from_param(p)
        return cls(p.side, classes, anchors, scales, p.thresh, bool(p.bias_match), rescored)

    @classmethod
    def resolve_files(cls, definition: Any, resolve: Callable[[str], str]) -> None:
        """The files of the tree and of the map."""
        p = definition.region_loss_param
        for field in ("softmax_tree", "class_map"):
            if getattr(p, field):
                setattr(p, field, resolve(getattr(p, field)))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, y = bottoms
        channels = len(self.anchors) * (5 + self.classes.number)
        if tuple(x[1:]) != (channels, self.side, self.side):
            raise ShapeError(f"bottom[0] must be (N, {channels}, {self.side}, {self.side}), got {x}")
        if is_annotated(y) and self.rescored is not None:
            raise ShapeError(f"bottom[1] must be ({x[0]}, {5 * ROWS}) in MobileNet-YOLO, got {y}")
        if not is_annotated(y) and (y[:1] != x[:1] or prod(y[1:]) != 5 * ROWS):
            raise ShapeError(f"bottom[1] must be ({x[0]}, {5 * ROWS}) or (1, 1, boxes, 8), got {y}")
        return ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels | None:
        return self.classes.allowed_labels(is_annotated(bottoms[1]))

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return () if is_annotated(bottoms[1]) else (StateDef("passes", np.zeros(1, np.int64)),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _grid(self) -> AnchorGrid:
        return AnchorGrid.of((self.side, self.side), np.array(self.anchors, float))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        x = emit_boxes(g, bottoms[0], len(self.anchors), self.classes.number)
        truth = emit_yolo_truth(g, bottoms[0], bottoms[1])
        bounded = is_annotated(bottoms[1].dims)
        if bounded and self.classes.tree is not None:
            truth = truth._replace(label=g.op("Add", truth.label, g.ints(1)))
        mine, owner = self._owners(g, x, truth)  # (N, A): the last right box of each, or -1
        own = g.op("Unsqueeze", g.op("GreaterOrEqual", owner, g.ints(0)), g.ints([2]))
        index = g.op("Unsqueeze", g.op("Max", owner, g.ints(0)), g.ints([2]))
        warm, news = self._warm(g, bottoms[0], states)
        places = self._places(g, x, truth, index, bounded)
        drawn = (g.op("Sub", x.inner, g.const(0.5)), x.stretch)
        moved, stretched = (
            g.op("Where", own, place, g.op("Mul", draw, warm))
            for place, draw in zip(places, drawn, strict=True)
        )
        moved = g.op("Mul", moved, _variance(g, x.inner))
        shares = self.classes.emit_shares(g, x.scores)
        d_classes = self.classes.emit_slopes(g, shares, truth.label, mine, index)
        d_classes = g.op("Where", own, d_classes, g.const(0))
        d_sure = self._confidences(g, x, truth, (own, index), bounded)
        slopes = g.op("Concat", moved, stretched, d_sure, d_classes, axis=2)
        if self.classes.tree is not None:
            alone, others = self.classes.emit_labelled_alone(g, x.sure, shares, truth, self.scales[:2])
            nowhere = g.op("Mul", g.op("Concat", x.inner, x.inner, axis=2), g.const(0))
            slopes = g.op("Where", alone, g.op("Concat", nowhere, others, axis=2), slopes)
        loss = g.op("ReduceSumSquare", slopes, keepdims=0)
        if self.rescored is not None:
            loss = g.op("Div", loss, count(g, bottoms[0], 0, 1))
        return Emitted((loss,), _Saved((bottoms[0], bottoms[1]), slopes), next_states=news)

    def _owners(self, g: GraphBuilder, x: AnchorBoxes, truth: YoloTruth) -> tuple[str, str]:
        """Which right boxes a box is to become, bool (N, K, A), and of each box the last, int64 (N, A); -1
        for none."""
        numbers = len(self.anchors)
        cell = g.op("Floor", g.op("Mul", truth.centre, g.const(self.side)))  # (N, K, 2): column, row
        place = g.op("ReduceSum", g.op("Mul", cell, g.const([1, self.side])), g.ints([2]))  # (N, K, 1)
        place = g.op("Clip", place, g.const(0), g.const(self.side**2 - 1))
        every = g.op("Add", g.op("Mul", place, g.const(numbers)), g.const(np.arange(numbers)))  # (N, K, B)
        sides = g.const(np.array(self.anchors) / self.side)
        if not self.by_anchor:
            index = g.op("Unsqueeze", g.op("Cast", every, to=INT64), g.ints([3]))
            sides = g.op("Mul", g.op("Exp", g.op("GatherND", x.stretch, index, batch_dims=1)), sides)
        half, other = g.op("Mul", sides, g.const(0.5)), g.op("Mul", truth.side, g.const(0.5))
        other = g.op("Unsqueeze", other, g.ints([2]))  # (N, K, 1, 2)
        overlaps = emit_overlap(g, Pairs(g.op("Neg", half), half), Pairs(g.op("Neg", other), other))
        best = g.op("Cast", g.op("ArgMax", overlaps, axis=2), to=FLOAT)  # (N, K, 1)
        box = g.op("Add", g.op("Mul", place, g.const(numbers)), best)
        mine = g.op("Equal", box, g.const(np.arange(self.side**2 * numbers)))  # (N, K, A)
        mine = g.op("And", mine, g.op("Unsqueeze", truth.taught, g.ints([2])))
        order = axis_places(g, truth.label, 1)
        order = g.op("Unsqueeze", g.op("Cast", order, to=FLOAT), g.ints([1]))
        last = g.op("ReduceMax", g.op("Where", mine, order, g.const(-1)), g.ints([1]), keepdims=0)
        return mine, g.op("Cast", last, to=INT64)

    def _places(
        self, g: GraphBuilder, x: AnchorBoxes, truth: YoloTruth, index: str, bounded: bool
    ) -> list[str]:
        """How far centres and sides, in the net's terms, are from those of the boxes' owners, scaled."""
        _, corner, anchors = self._grid()
        centre, side = (g.op("GatherND", part, index, batch_dims=1) for part in (truth.centre, truth.side))
        right = g.op("Sub", g.op("Mul", centre, g.const(self.side)), g.const(corner))
        wide = g.op("Log", g.op("Mul", side, g.const(self.side / anchors)))
        aways = [g.op("Sub", x.inner, right), g.op("Sub", x.stretch, wide)]
        if bounded:
            aways = [g.op("Clip", away, g.const(-1), g.const(1)) for away in aways]
        scale = g.const(self.scales[2])
        if self.rescored is False:
            area = g.op("ReduceProd", side, g.ints([2]))
            scale = g.op("Mul", g.op("Sub", g.const(2), area), scale)
        return [g.op("Mul", away, scale) for away in aways]

    def _confidences(
        self, g: GraphBuilder, x: AnchorBoxes, truth: YoloTruth, owner: tuple[str, str], bounded: bool
    ) -> str:
        """The slopes of confidences, (N, A, 1). ``owner``: whether a box has one, and which."""
        boxes = emit_corners(g, x, self._grid())
        near = emit_near(g, boxes, truth, self.threshold)
        none = g.op("Where", near, g.const(0), g.op("Mul", x.sure, g.const(self.scales[1])))
        own, index = owner
        wanted = g.const(1)
        if self.rescored:
            right = emit_right_corners(g, truth)
            owned = Pairs(*(g.op("GatherND", corner, index, batch_dims=1) for corner in right))
            wanted = g.op("Unsqueeze", emit_overlap(g, boxes, owned), g.ints([2]))
        lacking = g.op("Sub", x.sure, wanted)
        if bounded:
            cube = g.op("Mul", g.op("Mul", lacking, lacking), lacking)
            lacking = g.op("Add", cube, cube)
        object_slope = g.op("Mul", lacking, g.const(self.scales[0]))
        return g.op("Mul", g.op("Where", own, object_slope, none), _variance(g, x.sure))

    def _warm(self, g: GraphBuilder, x: Value, states: Sequence[Value]) -> tuple[str, tuple[str, ...]]:
        """The scale of what draws boxes toward their anchors, and the next state."""
        if not states:
            return g.const(0), ()
        last = g.op("Div", g.ints([WARM_UP]), g.op("Shape", x.name, end=1))
        warm = g.op("Where", g.op("Less", states[0].name, last), g.const(WARM_SCALE), g.const(0))
        return warm, (g.op("Add", states[0].name, g.ints([1])),)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None or not needed.bottoms[0]:
            return Gradients((None, None))
        x = saved.bottoms[0]
        slopes = emit_as_predictions(g, saved.slopes, x, len(self.anchors))
        return Gradients((g.op("Mul", slopes, g.op("Div", d_tops[0], count(g, x, 0, 1))), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x, y = bottoms
        images, annotated = len(x), is_annotated(y.shape)
        warm = 0.0 if annotated or states[0][0] >= WARM_UP // images else WARM_SCALE
        slopes = [
            self._reference_slopes(own, truth, warm, annotated)
            for own, truth in zip(as_table(x, len(self.anchors)), yolo_truth(y, images), strict=True)
        ]
        news = () if annotated else (np.asarray(states[0]) + 1,)
        divisor = 1 if self.rescored is None else images
        return Referenced((np.asarray(np.sum(np.square(slopes)) / divisor),), next_states=news)

    def _reference_slopes(self, table: Array, rows: Array, warm: float, bounded: bool) -> Array:
        """Of one image, (A, 5 + C): predictions and right boxes (K, 5)."""
        of_sure, of_none, of_place = self.scales
        _, corner, anchors = self._grid()
        inner, sure = (1 / (1 + np.exp(-table[:, part])) for part in (slice(0, 2), slice(4, 5)))
        shares = self.classes.shares(table[:, 5:])
        centre, half = (inner + corner) / self.side, np.exp(table[:, 2:4]) * anchors / self.side / 2
        tree = self.classes.tree is not None
        rows = rows + np.eye(5)[0] if bounded and tree else rows
        seen = rows[np.cumprod(rows[:, 1] != 0) > 0] if not bounded else rows
        alone = seen[(seen[:, 1:3] > NOWHERE).all(1)]
        if tree and len(alone):
            taught = self.classes.teach_label_alone(sure[:, 0], shares, int(alone[0, 0]), self.scales[:2])
            return np.hstack([np.zeros((len(table), 4)), taught])
        ends = np.hstack([seen[:, 1:3] - seen[:, 3:] / 2, seen[:, 1:3] + seen[:, 3:] / 2])
        found = overlap(np.hstack([centre - half, centre + half])[:, None], ends).max(1, initial=0)
        slopes = np.zeros_like(table)
        slopes[:, 4:5] = np.where(found[:, None] > self.threshold, 0, of_none * sure**2 * (1 - sure))
        slopes[:, :2] = warm * (inner - 0.5) * inner * (1 - inner)
        slopes[:, 2:4] = warm * table[:, 2:4]
        for label, *box in rows if bounded else rows[np.cumprod(rows[:, 3] != 0) > 0]:
            at, sides = np.array(box[:2]), np.array(box[2:])
            if (at < 0).any() or (at >= 1).any():
                continue
            column, row = (at * self.side).astype(int)
            places = (row * self.side + column) * len(self.anchors) + np.arange(len(self.anchors))
            others = anchors[places] / self.side if self.by_anchor else 2 * half[places]
            place = places[overlap(np.hstack([-others, others]) / 2, np.hstack([-sides, sides]) / 2).argmax()]
            away = np.hstack([inner[place], table[place, 2:4]]) - np.hstack(
                [at * self.side - corner[place], np.log(sides * self.side / anchors[place])]
            )
            slopes[place, :4] = of_place * (away.clip(-1, 1) if bounded else away)
            slopes[place, :4] *= 2 - sides.prod() if self.rescored is False else 1
            slopes[place, :2] *= inner[place] * (1 - inner[place])
            p, box = sure[place, 0], np.hstack([centre[place] - half[place], centre[place] + half[place]])
            wanted = overlap(box, np.hstack([at - sides / 2, at + sides / 2])) if self.rescored else 1
            slopes[place, 4] = of_sure * (2 * (p - 1) ** 3 if bounded else p - wanted) * p * (1 - p)
            self.classes.teach(slopes[place, 5:], shares[place], label)
        return slopes


def _variance(g: GraphBuilder, p: str) -> str:
    """The derivative p (1 - p) of the logistic function."""
    return g.op("Mul", p, g.op("Sub", g.const(1), p))

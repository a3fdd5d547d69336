"""AnchorTargetLayer: what a region proposal network should say of its anchors (py-faster-rcnn's Python layer;
not from BVLC Caffe).

Source: rbgirshick/py-faster-rcnn, ``rpn.anchor_target_layer``, with the numbers of its configuration
``faster_rcnn_end2end.yml``, which the alternating stages share. Section 3.1 of "Faster R-CNN: Towards
Real-Time Object Detection with Region Proposal Networks". C++ layers of forks called AnchorTarget differ from
each other and are not meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    StateDef,
    exactly,
    register,
)
from vggrepro.layers.rules.anchors import Anchors, grid, python_anchors, reference_grid
from vggrepro.layers.rules.box_code import Pairs, split_pairs
from vggrepro.layers.rules.draw_state import draw_state, emit_next_state, next_state
from vggrepro.layers.rules.param_str import parse_param_str
from vggrepro.layers.rules.pixel_boxes import box_overlap, box_targets, emit_box_overlap, emit_box_targets
from vggrepro.layers.rules.sampling import (
    Flags,
    Sampling,
    chosen,
    emit_any,
    emit_chosen,
    emit_number,
)

KEYS = frozenset({"feat_stride", "scales", "ratios", "allowed_border"})

SURE, UNSURE = 0.7, 0.3
"""From which overlap on an anchor stands for an object, and below which for the background."""

BATCH, MOST_OBJECTS = 256, 128
"""How many anchors count, and how many of them for objects."""


class _Matched(NamedTuple):
    """Tensors of the graph, or arrays, for the P anchors."""

    objects: Any
    """bool (P): those that stand for an object."""
    background: Any
    """bool (P)."""
    targets: Any
    """(P, 4): 0 for anchors that reach out of the image."""


@register
@dataclass(frozen=True)
class AnchorTargetLayer(Layer[None]):
    """Bottoms: scores (1, 2 A, H, W), of which only the size counts; right boxes (G, 5): x1, y1, x2, y2 in
    pixels and a label; (1, 3) or more: height, width and scale of the image; optionally the image, which
    nothing reads.

    Tops: labels (1, 1, A * H, W), 1 for an object, 0 for the background and -1 for what does not count; for
    the places targets, weights inside and weights outside of the loss (1, 4 A, H, W).

    Of the anchors inside of the image, those that overlap a box most, and those that overlap one by 0.7 or
    more, stand for an object; others that overlap none by 0.3 stand for the background. 256 count, at most
    128 of them for objects, drawn at random: the state ``random`` is Dropout's.

    DEVIATION: the draw is not NumPy's. A row of the right boxes with a label of 0 or less is none, so that
    images with fewer boxes fit into one shape; where there are no boxes, or no anchor lies inside,
    py-faster-rcnn stops.

    No gradient flows.
    """

    type = "AnchorTargetLayer"
    origin = "py-faster-rcnn"
    bottoms = Count(3, 4)
    right_boxes = frozenset({1})
    tops = exactly(4)

    anchors: Anchors
    stride: float
    border: float
    sampling: Sampling

    @classmethod
    def from_param(cls, param: Any, phase: int) -> AnchorTargetLayer:
        text = param.python_param.param_str
        given = parse_param_str(text)
        if set(given) - KEYS or "feat_stride" not in given:
            raise UnsupportedError(
                f"param_str {text!r}: expected 'feat_stride', and if need be 'scales', 'ratios' and"
                " 'allowed_border'"
            )
        anchors = python_anchors(16, given.get("ratios", (0.5, 1, 2)), given.get("scales", (8, 16, 32)))
        return cls(anchors, given["feat_stride"], given.get("allowed_border", 0), Sampling.named(param.name))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, boxes, info = bottoms[:3]
        number = len(self.anchors)
        if len(scores) != 4 or scores[:2] != (1, 2 * number):
            raise ShapeError(f"{number} anchors need bottom[0] (1, {2 * number}, H, W), got shape {scores}")
        if len(boxes) != 2 or boxes[1] != 5:
            raise ShapeError(f"bottom[1] must be right boxes (G, 5), got shape {boxes}")
        if len(info) != 2 or info[0] != 1 or info[1] < 2:
            raise ShapeError(f"bottom[2] must be height, width and scale of one image, got shape {info}")
        height, width = scores[2:]
        return (1, 1, number * height, width), *((1, 4 * number, height, width),) * 3

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (draw_state(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        found = self._matched(g, bottoms)
        keys = self.sampling.emit_keys(g, Value(found.objects, (1, None)), states[0].name)
        objects = emit_chosen(g, found.objects, keys, g.const([[MOST_OBJECTS]], np.int64))
        rest = g.op("Sub", g.const([[BATCH]], np.int64), emit_number(g, objects))
        counted = g.op("Or", objects, emit_chosen(g, found.background, keys, rest))
        real = g.op("Cast", counted, to=FLOAT)
        inside = g.op("Cast", objects, to=FLOAT)  # (1, P)
        number = g.op("Max", g.op("ReduceSum", real, keepdims=0), g.const(1))
        labels = g.op("Sub", g.op("Add", inside, real), g.const(1))
        outside = g.op("Div", real, number)
        label_map = g.op("Reshape", self._maps(g, bottoms[0], labels, 1), g.ints([1, 1, -1, 0]))
        weights = [
            g.op("Expand", g.op("Unsqueeze", x, g.ints([2])), g.ints([1, 1, 4])) for x in (inside, outside)
        ]
        maps = [self._maps(g, bottoms[0], rows, 4) for rows in (found.targets, *weights)]
        return Emitted((label_map, *maps), None, next_states=(emit_next_state(g, states[0].name),))

    def _matched(self, g: GraphBuilder, bottoms: Sequence[Value]) -> _Matched:
        """Flags (1, P) and targets (P, 4) before anything is drawn."""
        features, boxes, info = bottoms[:3]
        centre, side = grid(g, features.name, self.anchors, self.stride)
        first = g.op("Sub", centre, g.op("Mul", side, g.const(0.5)))
        last = g.op("Sub", g.op("Add", first, side), g.const(1))
        size = g.op("Gather", g.op("Reshape", info.name, g.ints([-1])), g.ints([1, 0]), axis=0)  # x, y
        end = g.op("Add", size, g.const(self.border))
        fits = g.op("And", g.op("GreaterOrEqual", first, g.const(-self.border)), g.op("Less", last, end))
        fits = g.op("Not", emit_any(g, g.op("Not", fits), 1))  # (P)
        corners = g.op("Slice", boxes.name, g.ints([0]), g.ints([4]), g.ints([1]))
        real = g.op("Greater", g.op("Gather", boxes.name, g.ints(4), axis=1), g.const(0))  # (G)
        pairs = Pairs(*(g.op("Unsqueeze", part, g.ints([1])) for part in (first, last)))
        counts = g.op("And", g.op("Unsqueeze", fits, g.ints([1])), real)  # (P, G)
        overlaps = emit_box_overlap(g, pairs, split_pairs(g, corners))
        overlaps = g.op("Where", counts, overlaps, g.const(-1, np.float64))
        best = g.op("ReduceMax", overlaps, g.ints([1]), keepdims=0)  # (P)
        most = g.op("And", counts, g.op("Equal", overlaps, g.op("ReduceMax", overlaps, g.ints([0]))))
        sure = g.op("GreaterOrEqual", best, g.const(SURE, np.float64))
        objects = g.op("And", fits, g.op("Or", sure, emit_any(g, most, 1)))
        low = g.op("Less", best, g.const(UNSURE, np.float64))
        background = g.op("And", g.op("And", fits, low), g.op("Not", objects))
        own = g.op("Gather", corners, g.op("ArgMax", overlaps, axis=1, keepdims=0), axis=0)
        targets = emit_box_targets(g, g.op("Concat", first, last, axis=1), own)
        targets = g.op("Where", g.op("Unsqueeze", fits, g.ints([1])), targets, g.const(0))
        rows = [g.op("Unsqueeze", flag, g.ints([0])) for flag in (objects, background)]
        return _Matched(rows[0], rows[1], targets)

    def _maps(self, g: GraphBuilder, features: Value, rows: str, each: int) -> str:
        """``each`` numbers of the P anchors, place by place, as maps (1, A * each, H, W)."""
        size = g.op("Shape", features.name, start=2)
        shape = g.op("Concat", g.ints([1]), size, g.ints([len(self.anchors) * each]), axis=0)
        return g.op("Transpose", g.op("Reshape", rows, shape), perm=[0, 3, 1, 2])

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """py-faster-rcnn's backward pass does nothing."""
        return Gradients((None,) * len(needed.bottoms))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        height, width = bottoms[0].shape[2:]
        found = self._reference_matched(bottoms)
        keys = self.sampling.draw_keys(1, len(found.objects), states[0])[0]
        objects: Flags = chosen(found.objects, keys, MOST_OBJECTS)
        counted = objects | chosen(found.background, keys, BATCH - int(objects.sum()))
        columns = [objects * 1.0, counted / max(int(counted.sum()), 1)]
        rows = [found.targets, *(np.repeat(column[:, None], 4, axis=1) for column in columns)]
        maps = [x.reshape(height, width, -1).transpose(2, 0, 1)[None] for x in rows]
        signs = np.where(objects, 1.0, counted - 1.0)
        labels = signs.reshape(height, width, -1).transpose(2, 0, 1).reshape(1, 1, -1, width)
        return Referenced((labels, *maps), next_states=(next_state(states[0]),))

    def _reference_matched(self, bottoms: Sequence[Array]) -> _Matched:
        centre, side = reference_grid(bottoms[0].shape[2:], self.anchors, self.stride)
        boxes = np.concatenate([centre - side / 2, centre + side / 2 - 1], axis=1)
        size = bottoms[2].reshape(-1)[[1, 0]]
        fits = np.all((boxes[:, :2] >= -self.border) & (boxes[:, 2:] < size + self.border), axis=1)
        right, real = bottoms[1][:, :4], bottoms[1][:, 4] > 0
        overlaps = np.where(fits[:, None] & real, box_overlap(boxes[:, None], right), -1)
        best = overlaps.max(1)
        most = ((overlaps == overlaps.max(0)) & (overlaps >= 0)).any(1)
        objects = fits & (most | (best >= SURE))
        targets = box_targets(boxes, right[overlaps.argmax(1)]) * fits[:, None]
        return _Matched(objects, fits & (best < UNSURE) & ~objects, targets)

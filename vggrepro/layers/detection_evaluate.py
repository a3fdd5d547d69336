"""DetectionEvaluate: which detections are right (SSD's layer; not from BVLC Caffe).

Source: weiliu89/caffe, branch ssd, field ``detection_evaluate_param``. The tests of a solver with
``eval_type: "detection"`` make mean average precisions of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Layer,
    Reach,
    Referenced,
    Shapes,
    StateDef,
    exactly,
    register,
)
from vggrepro.layers.rules.box_code import (
    Pairs,
    emit_overlap,
    emit_pixel_overlap,
    overlap,
    pixel_overlap,
    split_pairs,
)
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.right_boxes import ROW as RIGHT
from vggrepro.layers.rules.right_boxes import check_rows, emit_listed

DETECTION = 7
"""Image, label, confidence, xmin, ymin, xmax, ymax."""

ROW = 5
"""What the top has of a detection: image, label, confidence, right, wrong; and of a class: -1, label, number
of right boxes, -1, -1."""


class _Rows(NamedTuple):
    """A table and its columns: tensors of the graph."""

    table: str
    image: str
    label: str
    """(R), int64."""
    corners: Pairs
    """(R, 2)."""


@register
@dataclass(frozen=True)
class DetectionEvaluate(Layer[None]):
    """Bottoms: detections (1, 1, M, 7), as DetectionOutput gives them, and right boxes, (1, 1, G, 8). Top
    (1, 1, classes + M, 5): for each class but the background a row -1, label, number of right boxes, -1, -1;
    then for each detection image, label, confidence, whether it is right, whether it is wrong.

    Detections are sorted by image, label and falling confidence. The surest that overlaps a right box of its
    label most, and by ``overlap_threshold``, is right, the next one of the same box is wrong. With
    ``evaluate_difficult_gt: false`` those of difficult boxes are neither, and these do not count.

    With ``name_size_file``, a line of name, height and width for each image of the set, boxes are measured in
    whole pixels. As in SSD the lines are taken in turn, one for each image that has a row of detections, on
    and on from call to call.

    DEVIATION: rows without a detection (label -1) are -1 and at the end, where SSD's top has none. Of equal
    confidences the first detection comes first; where no right box has the label, SSD does not sort.
    """

    type = "DetectionEvaluate"
    origin = "SSD"
    bottoms = exactly(2)
    has_gradient = False
    right_boxes = frozenset({1})

    classes: int
    background: int = 0
    threshold: float = 0.5
    with_difficult: bool = True
    sizes: tuple[tuple[int, int], ...] = ()
    """Width and height of each image of the set, in pixels; if there are none, units of the image measure."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DetectionEvaluate:
        p = param.detection_evaluate_param
        if p.num_classes < 1:
            raise NetError("Must provide num_classes.")
        if p.overlap_threshold <= 0:
            raise NetError(f"overlap_threshold must be non negative. ({p.overlap_threshold:g} vs. 0)")
        if p.HasField("resize_param") and p.resize_param.resize_mode != p.resize_param.WARP:
            raise UnsupportedError("detection_evaluate_param: resize_mode is not implemented, only WARP")
        return cls(
            p.num_classes,
            p.background_label_id,
            p.overlap_threshold,
            p.evaluate_difficult_gt,
            _sizes(p.name_size_file) if p.HasField("name_size_file") else (),
        )

    @classmethod
    def resolve_files(cls, definition: Any, resolve: Callable[[str], str]) -> None:
        """The file of names and sizes."""
        p = definition.detection_evaluate_param
        if p.name_size_file:
            p.name_size_file = resolve(p.name_size_file)

    @property
    def labels(self) -> list[int]:
        """The classes without the background."""
        return [label for label in range(self.classes) if label != self.background]

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        found, rows = bottoms
        if len(found) != 4 or found[:2] != (1, 1) or found[3] != DETECTION:
            raise ShapeError(
                f"bottom[0] must be detections of shape (1, 1, detections, {DETECTION}), got {found}"
            )
        check_rows(rows, "bottom[1]")
        return ((1, 1, len(self.labels) + found[2], ROW),)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (StateDef("image", np.zeros(1, np.int64)),) if self.sizes else ()

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        found, right = _rows(g, bottoms[0], DETECTION), _rows(g, bottoms[1], RIGHT)
        score = g.op("Gather", found.table, g.ints(2), axis=1)
        real = g.op("Not", g.op("Or", *(g.op("Equal", x, g.ints(-1)) for x in (found.image, found.label))))
        listed = emit_listed(g, right.image)
        difficult = g.op("Not", g.op("Equal", g.op("Gather", right.table, g.ints(7), axis=1), g.const(0)))
        fits = g.op("And", _pairwise(g, "Equal", found.image, right.image), listed)
        fits = g.op("And", fits, _pairwise(g, "Equal", found.label, right.label))  # (M, G)
        overlaps, news = self._overlaps(g, found, right, states)
        overlaps = g.op("Where", fits, overlaps, g.const(0))
        best = g.op("ReduceMax", overlaps, g.ints([1]), keepdims=0)
        nearest = g.op("ArgMax", overlaps, axis=1, keepdims=0)
        counts = judged = g.op("And", real, g.op("GreaterOrEqual", best, g.const(self.threshold)))
        if not self.with_difficult:
            counts = g.op("And", judged, g.op("Not", g.op("Gather", difficult, nearest, axis=0)))
            listed = g.op("And", listed, g.op("Not", difficult))
        ahead = g.op("And", _before(g, found, score), real)  # (M, M)
        earlier = g.op("And", g.op("And", ahead, counts), _pairwise(g, "Equal", nearest, nearest))
        good = g.op("And", counts, g.op("Equal", _number(g, earlier), g.const(0)))
        bad = g.op("Or", g.op("Not", judged), g.op("And", counts, g.op("Not", good)))
        columns = [g.op("Slice", found.table, g.ints([0]), g.ints([3]), g.ints([1]))]
        columns += [g.op("Unsqueeze", g.op("Cast", flag, to=FLOAT), g.ints([1])) for flag in (good, bad)]
        rows = self._sorted(
            g, g.op("Concat", *columns, axis=1), real, g.op("Cast", _number(g, ahead), to=INT64)
        )
        top = g.op("Concat", self._totals(g, right, listed), rows, axis=0)
        return Emitted((g.op("Unsqueeze", top, g.ints([0, 1])),), None, next_states=news)

    def _overlaps(
        self, g: GraphBuilder, found: _Rows, right: _Rows, states: Sequence[Value]
    ) -> tuple[str, tuple[str, ...]]:
        """Of each detection with each right box, (M, G), and the next state."""
        a = Pairs(*(g.op("Unsqueeze", part, g.ints([1])) for part in found.corners))
        b = Pairs(*(g.op("Unsqueeze", part, g.ints([0])) for part in right.corners))
        if not self.sizes:
            return emit_overlap(g, a, b), ()
        number = g.ints(len(self.sizes))
        real = g.op("Not", g.op("Equal", found.image, g.ints(-1)))
        same = g.op("And", _pairwise(g, "Equal", found.image, found.image), real)
        order = axis_places(g, found.image, 0)
        repeated = g.op("And", same, _pairwise(g, "Greater", order, order))
        first = g.op("And", real, g.op("Equal", _number(g, repeated), g.const(0)))
        smaller = g.op("And", _pairwise(g, "Greater", found.image, found.image), first)
        place = g.op("Add", g.op("Cast", _number(g, smaller), to=INT64), states[0].name)
        sizes = g.op("Gather", g.const(self.sizes), g.op("Mod", place, number), axis=0)  # (M, 2)
        sizes = g.op("Unsqueeze", sizes, g.ints([1]))
        a, b = (
            Pairs(*(g.op("Mul", g.op("Clip", part, g.const(0), g.const(1)), sizes) for part in pair))
            for pair in (a, b)
        )
        seen = g.op("ReduceSum", g.op("Cast", first, to=FLOAT), g.ints([0]))
        last = g.op("Mod", g.op("Add", states[0].name, g.op("Cast", seen, to=INT64)), number)
        return emit_pixel_overlap(g, a, b), (last,)

    def _sorted(self, g: GraphBuilder, rows: str, real: str, place: str) -> str:
        """The rows (M, 5) at their places, those that are not real as -1 behind them."""
        number = g.op("Shape", rows, end=1)
        empty = g.op(
            "Expand", g.const(-1), g.op("Concat", g.op("Add", number, g.ints([1])), g.ints([ROW]), axis=0)
        )
        where = g.op("Unsqueeze", g.op("Where", real, place, number), g.ints([1]))
        return g.op("Slice", g.op("ScatterND", empty, where, rows), g.ints([0]), number, g.ints([0]))

    def _totals(self, g: GraphBuilder, right: _Rows, listed: str) -> str:
        """The rows that say how many right boxes each class has."""
        mine = g.op("And", _pairwise(g, "Equal", g.ints(self.labels), right.label), listed)
        total = g.op("Unsqueeze", _number(g, mine), g.ints([1]))
        before = g.const([[-1, label] for label in self.labels])
        return g.op("Concat", before, total, g.const([[-1, -1]] * len(self.labels)), axis=1)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (shape,) = self.out_shapes([b.shape for b in bottoms])
        right = bottoms[1].reshape(-1, 8)
        right = right[np.cumsum(np.trunc(right[:, 0]) == -1) == 0]
        found = bottoms[0].reshape(-1, DETECTION)
        found = found[np.trunc(found[:, 0]) != -1]
        keys = np.trunc(found[:, :2])
        images = sorted(set(keys[:, 0]))
        begin = int(states[0][0]) if self.sizes else 0
        rows: list[list[float]] = [
            [-1, label, ((right[:, 1] == label) & (self.with_difficult | (right[:, 7] == 0))).sum(), -1, -1]
            for label in self.labels
        ]
        for number, image in enumerate(images):
            size = self.sizes[(begin + number) % len(self.sizes)] if self.sizes else None
            for label in sorted(set(keys[keys[:, 0] == image, 1]) - {-1}):
                own = found[(keys == [image, label]).all(1)]
                own = own[np.argsort(-own[:, 2], kind="stable")]
                truths = right[(np.trunc(right[:, :2]) == [image, label]).all(1)]
                rows += [[image, label, *row] for row in self._judged(own, truths, size)]
        top = np.full(shape, -1.0)
        top[0, 0, : len(rows)] = rows
        news = (np.array([(begin + len(images)) % len(self.sizes)]),) if self.sizes else ()
        return Referenced((top,), next_states=news)

    def _judged(self, own: Array, truths: Array, size: tuple[int, int] | None) -> list[list[float]]:
        """Of one label in one image: confidence, right, wrong."""
        taken = np.zeros(len(truths), bool)
        rows: list[list[float]] = []
        for detection in own:
            right, wrong = 0.0, 1.0
            if len(truths):
                overlaps = _overlap(detection[3:], truths[:, 3:7], size)
                nearest = overlaps.argmax()
                if overlaps[nearest] >= np.float32(self.threshold):
                    counts = self.with_difficult or truths[nearest, 7] == 0
                    right, wrong = float(counts and not taken[nearest]), float(counts and taken[nearest])
                    taken[nearest] |= counts
            rows.append([detection[2], right, wrong])
        return rows


def _overlap(a: Array, b: Array, size: tuple[int, int] | None) -> Array:
    """Of boxes in units of the image; in pixels if its size is known."""
    if size is None:
        return overlap(a, b)
    return pixel_overlap(a.clip(0, 1) * (size * 2), b.clip(0, 1) * (size * 2))


def _rows(g: GraphBuilder, bottom: Value, width: int) -> _Rows:
    """The columns of a bottom (1, 1, R, width): image, label, third, four corners."""
    table = g.op("Reshape", bottom.name, g.ints([-1, width]))
    image, label = (
        g.op("Cast", g.op("Gather", table, g.ints(column), axis=1), to=INT64) for column in (0, 1)
    )
    return _Rows(
        table, image, label, split_pairs(g, g.op("Slice", table, g.ints([3]), g.ints([7]), g.ints([1])))
    )


def _pairwise(g: GraphBuilder, comparison: str, rows: str, columns: str) -> str:
    """A comparison of each of ``rows`` (R) with each of ``columns`` (C): bool (R, C)."""
    return g.op(comparison, g.op("Unsqueeze", rows, g.ints([1])), columns)


def _number(g: GraphBuilder, flags: str) -> str:
    """How many of each row are true: float32 (R)."""
    return g.op("ReduceSum", g.op("Cast", flags, to=FLOAT), g.ints([1]), keepdims=0)


def _before(g: GraphBuilder, rows: _Rows, score: str) -> str:
    """Which row, by column, comes before which, by row, when sorted: bool (M, M)."""
    order = axis_places(g, score, 0)
    ahead = _pairwise(g, "Greater", order, order)
    for comparison, key in (("Less", score), ("Greater", rows.label), ("Greater", rows.image)):
        tied = g.op("And", _pairwise(g, "Equal", key, key), ahead)
        ahead = g.op("Or", _pairwise(g, comparison, key, key), tied)
    return ahead


def _sizes(path: str) -> tuple[tuple[int, int], ...]:
    """Width and height in each line "name height width" of a file."""
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise NetError(f"Failed to open name size file: {path} ({error.strerror})") from None
    sizes = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if len(words) != 3 or not all(word.isdecimal() for word in words[1:]):
            raise NetError(f"{path}, line {number}: expected name, height and width, got {line!r}")
        sizes.append((int(words[2]), int(words[1])))
    return tuple(sizes)

"""ProposalTarget: the regions that a detection network learns from, out of those that a proposal network
found (MS-CNN's layer; not from BVLC Caffe).

Sources: zhaoweicai/mscnn and zhaoweicai/cascade-rcnn, fields ``proposal_target_param`` and
``bbox_reg_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, prod
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
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
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.draw_state import draw_state, emit_next_state, next_state
from vggrepro.layers.rules.region_sampling import (
    Drawn,
    RegionSampling,
    RegionTruth,
    by_class,
    emit_by_class,
    emit_four_axes,
    four_axes,
)
from vggrepro.layers.rules.regions import region_rows
from vggrepro.layers.rules.sampling import Sampling

ROW = 5

MS_CNN, CASCADE = 7, 8
"""How many numbers the projects give for a right box."""


@register
@dataclass(frozen=True)
class ProposalTarget(Layer[None]):
    """Bottoms: regions (P, 5): index of the image, x1, y1, x2, y2 in pixels; right boxes (G, 7): the same, a
    label, and whether it is ignored. Cascade R-CNN's have an eighth number, difficulty, and share nothing
    with a region by less than a pixel.

    Tops: regions (R, 5, 1, 1); labels (R, 1, 1, 1), 0 for the background; for the places of all classes
    targets, weights inside and weights outside of the loss (R, 4 * ``cls_num``, 1, 1), or with ``cls_aware:
    false`` (R, 8, 1, 1), 0 but for the region's own class, weights also where the overlap lies outside of
    ``bbox_thr_lw`` to ``bbox_thr_hg``; of each object its label, right box and overlap (R, 6, 1, 1), else 0;
    optionally weights for the loss of labels (R, 1, 1, 1), which give objects the share ``fg_fraction``.

    Regions and, with ``append_gtbox``, right boxes are drawn as :mod:`vggrepro.layers.rules.region_sampling`
    says, ``batch_size`` of them, -1 for all; the state ``random`` is Dropout's. With ``pickup_discard`` what
    is neither object nor background fills up the batch.

    DEVIATION: the draw is not Caffe's. Where all that does not fill the batch, MS-CNN draws boxes at random;
    here regions are taken again.

    No gradient flows.
    """

    type = "ProposalTarget"
    origin = "MS-CNN, Cascade R-CNN"
    bottoms = exactly(2)
    right_boxes = frozenset({1})
    tops = Count(6, 7)

    classes: int
    agnostic: bool
    regions: RegionSampling
    counted: tuple[float, float] = (0.0, 10.0)
    """Overlaps from which to which an object's place counts."""
    share: float = 0.25
    by_overlap: bool = False
    """Whether overlaps are the weights of objects (``iou_weighted``)."""
    gives_weights: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ProposalTarget:
        p = param.proposal_target_param
        if p.batch_size == 0 or p.batch_size < -1:
            raise NetError(f"Check failed: batch_size_ > 0 ({p.batch_size} vs. 0)")
        if p.cls_num < 2 or not 0 <= p.fg_fraction <= 1:
            raise NetError("proposal_target_param: needs cls_num of 2 or more and fg_fraction from 0 to 1")
        if p.fg_thr < p.bg_thr_hg:
            raise NetError(f"Check failed: fg_thr >= bg_thr_hg ({p.fg_thr:g} vs. {p.bg_thr_hg:g})")
        batch = p.batch_size if p.batch_size > 0 else None
        drawn = RegionSampling(
            Sampling.named(param.name),
            batch,
            floor(round(p.fg_fraction, 6) * (batch or 0) + 0.5),
            round(p.fg_thr, 6),  # as the text says it, not its nearest float32
            round(p.bg_thr_lw, 6),
            round(p.bg_thr_hg, 6),
            BoxStatistics.from_param(param),
            fills=p.pickup_discard and batch is not None,
            appends=p.append_gtbox,
        )
        agnostic = not param.bbox_reg_param.cls_aware
        counted = (p.bbox_thr_lw, p.bbox_thr_hg)
        weights = len(param.top) > 6
        return cls(p.cls_num, agnostic, drawn, counted, p.fg_fraction, p.iou_weighted, weights)

    @property
    def _columns(self) -> int:
        return 2 if self.agnostic else self.classes

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        regions, boxes = bottoms
        if len(regions) < 2 or prod(regions[1:]) != ROW:
            raise ShapeError(f"bottom[0] must be regions (P, {ROW}), got shape {regions}")
        if len(boxes) < 2 or prod(boxes[1:]) not in (MS_CNN, CASCADE):
            raise ShapeError(
                f"bottom[1] must be right boxes (G, {MS_CNN}) or (G, {CASCADE}), got shape {boxes}"
            )
        number = self.regions.number(regions[0], boxes[0])
        places = (number, 4 * self._columns)
        return four_axes(
            (number, ROW), (number,), *(places,) * 3, (number, 6), *((number,),) * self.gives_weights
        )

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels | None:
        return AllowedLabels(1, self.classes, ignored=-1, column=(prod(bottoms[1][1:]), 5))

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (draw_state(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        width = prod(Value(bottoms[1].name, bottoms[1].dims[1:]).shape)
        boxes = g.op("Reshape", bottoms[1].name, g.ints([-1, width]))
        rows, labels, ignored, *_ = g.ops(
            "Split", boxes, g.ints([ROW, 1, 1, *[1] * (width - MS_CNN)]), outputs=width - 4, axis=1
        )
        labels, ignored = (g.op("Squeeze", x, g.ints([1])) for x in (labels, ignored))
        item = g.op("Gather", rows, g.ints(0), axis=1)
        real = g.op("And", g.op("Greater", labels, g.const(0)), g.op("GreaterOrEqual", item, g.const(0)))
        truth = RegionTruth(rows, labels, real, g.op("Not", g.op("Equal", ignored, g.const(0))))
        number = self.regions.batch or self.regions.number(*(b.shape[0] for b in bottoms))
        drawn = self.regions.emit(
            g, region_rows(g, bottoms[0]), truth, states[0].name, number, float(width == CASCADE)
        )
        tops = self._tops(g, drawn, number)
        return Emitted(tops, None, next_states=(emit_next_state(g, states[0].name),))

    def _tops(self, g: GraphBuilder, drawn: Drawn, number: int) -> tuple[str, ...]:
        label = g.op("Min", drawn.labels, g.const(1)) if self.agnostic else drawn.labels
        targets = emit_by_class(g, drawn.targets, label, self._columns)
        low, high = (g.const(edge) for edge in self.counted)
        near = g.op(
            "And", g.op("LessOrEqual", low, drawn.overlaps), g.op("LessOrEqual", drawn.overlaps, high)
        )
        ones = g.op("Unsqueeze", g.op("Cast", near, to=FLOAT), g.ints([1]))
        weights = emit_by_class(g, ones, label, self._columns)
        ends = [g.op("Unsqueeze", x, g.ints([1])) for x in (drawn.labels, drawn.overlaps)]
        objects = g.op("Greater", ends[0], g.const(0))
        own = g.op("Where", objects, g.op("Concat", ends[0], drawn.own, ends[1], axis=1), g.const(0))
        tops = [drawn.rows, ends[0], targets, weights, weights, own]
        if self.gives_weights:
            tops.append(self._weights(g, objects, ends[1], number))
        return tuple(emit_four_axes(g, top, 2) for top in tops)

    def _weights(self, g: GraphBuilder, objects: str, overlaps: str, number: int) -> str:
        """Of labels, (R, 1)."""
        marks = g.op("Cast", objects, to=FLOAT)
        of_objects = g.op("Mul", marks, overlaps) if self.by_overlap else marks
        rest = g.op("Sub", g.const(1), marks)
        some = g.op("Greater", g.op("ReduceSum", of_objects, keepdims=0), g.const(0))
        parts = []
        for part, share in ((of_objects, self.share), (rest, 1 - self.share)):
            total = g.op("Max", g.op("ReduceSum", part, keepdims=0), g.const(np.finfo(np.float32).tiny))
            scale = g.op("Where", some, g.op("Div", g.const(share * number), total), g.const(1))
            parts.append(g.op("Mul", part, scale))
        return g.op("Add", *parts)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The forks' backward passes do nothing."""
        return Gradients((None,) * 2)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        regions = bottoms[0].reshape(-1, ROW)
        boxes = bottoms[1].reshape(len(bottoms[1]), -1)
        real = (boxes[:, 5] > 0) & (boxes[:, 0] >= 0)
        truth = RegionTruth(boxes[:, :ROW], boxes[:, 5], real, boxes[:, 6] != 0)
        number = self.regions.number(len(regions), len(boxes))
        least = float(boxes.shape[1] == CASCADE)
        drawn = self.regions.reference(regions, truth, states[0], number, least)
        label = np.minimum(drawn.labels, 1) if self.agnostic else drawn.labels
        near = (drawn.overlaps >= self.counted[0]) & (drawn.overlaps <= self.counted[1])
        weights = by_class(near[:, None] * np.ones(4), label, self._columns)
        own = np.column_stack([drawn.labels, drawn.own, drawn.overlaps]) * (drawn.labels > 0)[:, None]
        targets = by_class(drawn.targets, label, self._columns)
        tops = [drawn.rows, drawn.labels[:, None], targets, weights, weights, own]
        if self.gives_weights:
            tops.append(self._reference_weights(drawn)[:, None])
        return Referenced(tuple(top[:, :, None, None] for top in tops), next_states=(next_state(states[0]),))

    def _reference_weights(self, drawn: Drawn) -> Array:
        objects = drawn.labels > 0
        weights: Array = np.where(objects, drawn.overlaps if self.by_overlap else 1.0, 1.0)
        if weights[objects].sum():
            for flags, share in ((objects, self.share), (~objects, 1 - self.share)):
                weights[flags] *= share * len(weights) / max(weights[flags].sum(), 1e-300)
        return weights

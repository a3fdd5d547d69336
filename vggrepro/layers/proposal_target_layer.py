"""ProposalTargetLayer: the regions that Fast R-CNN learns from, out of those that a region proposal network
found (py-faster-rcnn's Python layer; not from BVLC Caffe).

Sources: rbgirshick/py-faster-rcnn, ``rpn.proposal_target_layer``, with the numbers of its configuration
``faster_rcnn_end2end.yml``; YuwenXiong/py-R-FCN for ``rfcn_end2end.yml`` and ``rfcn_end2end_ohem.yml``, which
``--fork r-fcn`` and ``--fork r-fcn-ohem`` mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
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
from vggrepro.layers.rules.param_str import parse_param_str
from vggrepro.layers.rules.region_sampling import (
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

STATISTICS = BoxStatistics((0, 0, 0, 0), (0.1, 0.1, 0.2, 0.2))

OBJECTS = 0.25
"""The share of the batch that may be objects."""


@register
@dataclass(frozen=True)
class ProposalTargetLayer(Layer[None]):
    """Bottoms: regions (P, 5): index of the image, which is 0, x1, y1, x2, y2 in pixels; right boxes (G, 5):
    x1, y1, x2, y2 and a label.

    Tops: regions (R, 5, 1, 1); labels (R, 1, 1, 1), 0 for the background; for the places of K classes
    targets, weights inside and weights outside of the loss (R, 4 K, 1, 1), 0 but for the region's own class.
    With two classes every object is of class 1 there, which is R-FCN's AGNOSTIC.

    Regions and right boxes that overlap a right box by half or more are objects, at most a quarter of the
    batch of 128; the others are the background, with r-fcn from an overlap of 0.1 on. With r-fcn-ohem all of
    them make the batch. They are drawn at random: the state ``random`` is Dropout's.

    DEVIATION: the draw is not NumPy's; see :mod:`vggrepro.layers.rules.region_sampling` for what fills up a
    batch. Tops have four axes, as R-FCN's; py-faster-rcnn's lack the sizes of 1.

    No gradient flows.
    """

    type = "ProposalTargetLayer"
    origin = "py-faster-rcnn, R-FCN"
    bottoms = exactly(2)
    right_boxes = frozenset({1})
    tops = exactly(5)

    classes: int
    regions: RegionSampling

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ProposalTargetLayer:
        text = param.python_param.param_str
        given = parse_param_str(text)
        if (
            set(given) != {"num_classes"}
            or not isinstance(given["num_classes"], int)
            or given["num_classes"] < 2
        ):
            raise UnsupportedError(f"param_str {text!r}: expected 'num_classes', 2 or more, and nothing else")
        config = param.rcnn_config_param
        batch = config.batch_size if config.batch_size > 0 else None
        drawn = RegionSampling(
            Sampling.named(param.name),
            batch,
            round(OBJECTS * (batch or 0)),
            background_from=round(config.bg_thresh_lo, 6),  # as the text says it, not its nearest float32
            statistics=STATISTICS,
        )
        return cls(given["num_classes"], drawn)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        regions, boxes = bottoms
        if len(regions) < 2 or prod(regions[1:]) != ROW:
            raise ShapeError(f"bottom[0] must be regions (P, {ROW}), got shape {regions}")
        if len(boxes) != 2 or boxes[1] != ROW:
            raise ShapeError(f"bottom[1] must be right boxes (G, {ROW}), got shape {boxes}")
        number = self.regions.number(regions[0], boxes[0])
        return four_axes((number, ROW), (number,), *((number, 4 * self.classes),) * 3)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels | None:
        return None if self.classes == 2 else AllowedLabels(1, self.classes, column=(ROW, 4))

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (draw_state(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        corners, labels = g.ops("Split", bottoms[1].name, g.ints([4, 1]), outputs=2, axis=1)
        labels = g.op("Squeeze", labels, g.ints([1]))
        image = g.op("Mul", g.op("Slice", corners, g.ints([0]), g.ints([1]), g.ints([1])), g.const(0))
        real = g.op("Greater", labels, g.const(0))
        none = g.op("And", real, g.op("Not", real))
        truth = RegionTruth(g.op("Concat", image, corners, axis=1), labels, real, none)
        number = self.regions.batch or self.regions.number(*(b.shape[0] for b in bottoms))
        drawn = self.regions.emit(g, region_rows(g, bottoms[0]), truth, states[0].name, number)
        label = g.op("Min", drawn.labels, g.const(1)) if self.classes == 2 else drawn.labels
        targets = emit_by_class(g, drawn.targets, label, self.classes)
        weights = emit_by_class(g, g.const([[1]]), label, self.classes)
        tops = [emit_four_axes(g, rows, 2) for rows in (drawn.rows, targets, weights)]
        tops = [tops[0], emit_four_axes(g, drawn.labels, 1), tops[1], tops[2], tops[2]]
        return Emitted(tuple(tops), None, next_states=(emit_next_state(g, states[0].name),))

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """py-faster-rcnn's backward pass does nothing."""
        return Gradients((None,) * 2)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        regions, boxes = bottoms[0].reshape(-1, ROW), bottoms[1]
        real = boxes[:, 4] > 0
        rows = np.concatenate([np.zeros((len(boxes), 1)), boxes[:, :4]], axis=1)
        number = self.regions.number(len(regions), len(boxes))
        drawn = self.regions.reference(
            regions, RegionTruth(rows, boxes[:, 4], real, real & False), states[0], number
        )
        label = np.minimum(drawn.labels, 1) if self.classes == 2 else drawn.labels
        targets = by_class(drawn.targets, label, self.classes)
        weights = by_class(np.ones_like(drawn.targets), label, self.classes)
        tops = (drawn.rows, drawn.labels[:, None], targets, weights, weights)
        return Referenced(tuple(top[:, :, None, None] for top in tops), next_states=(next_state(states[0]),))

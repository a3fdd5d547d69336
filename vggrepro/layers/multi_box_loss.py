"""MultiBoxLoss: how far predicted boxes are from the right ones (SSD's loss; not from BVLC Caffe).

Sources: weiliu89/caffe, branch ssd, field ``multibox_loss_param``; sfzhang15/RefineDet for the fifth and the
sixth bottom. Section 2.2 of "SSD: Single Shot MultiBox Detector".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    Emitted,
    Gradients,
    Needed,
    Reach,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.allowed_labels import AllowedLabels
from vggrepro.layers.rules.box_code import BoxCode, first_priors, split_pairs
from vggrepro.layers.rules.box_losses import BoxLosses
from vggrepro.layers.rules.box_matching import BoxMatching, Predicted
from vggrepro.layers.rules.hard_examples import Boxes, HardExamples
from vggrepro.layers.rules.loss import Averaging, LossLayer, Normalization, count, shaped_like
from vggrepro.layers.rules.right_boxes import (
    RightBoxes,
    check_rows,
    emit_truth,
    label_column,
    reference_truth,
)
from vggrepro.layers.rules.sampling import emit_any


class _Saved(NamedTuple):
    bottoms: tuple[Value, ...]
    difference: str
    """Of places from the right ones, (N, P, 4); 0 where it does not count."""
    slope: str
    """The derivative of the losses of the confidences, (N, P, C)."""
    counted: str | None
    """Whose confidences count, bool (N, P); None: all."""
    divisor: str


@register
@dataclass(frozen=True)
class MultiBoxLoss(LossLayer[_Saved]):
    """Bottoms: predicted places (N, P * 4), confidences (N, P * C), P prior boxes (1, 2, P * 4), and the
    right boxes, (1, 1, G, 8). Top: the loss, (). Of prior boxes of several items the first one's count.

    Priors that stand for a box (:mod:`vggrepro.layers.rules.box_matching`) should predict it, and its label.
    Of the others some should be sure of the background (:mod:`vggrepro.layers.rules.hard_examples`). The
    sums of both losses, that of the places times ``loc_weight``, are divided by the number of priors that
    stand for a box (VALID), of all priors (FULL), of images (BATCH_SIZE), or 1 (NONE). ``propagate_down:
    false`` leaves out the part of that bottom.

    RefineDet's two more bottoms come from an earlier stage: of priors that are objects by less than
    ``objectness_score`` (N, P * 2), none counts for the background; its places (N, P * 4), decoded, stand
    for the priors. With two classes every label is 1.

    As in SSD, ``encode_variance_in_target`` divides the difference, but not its gradient, by the variances.
    DEVIATION: of equal losses the first prior counts, where SSD's sort does not say.
    """

    type = "MultiBoxLoss"
    origin = "SSD; RefineDet"
    bottoms = Count(4, 6)
    blind_bottoms = frozenset({2, 3, 4, 5})
    right_boxes = frozenset({3})

    classes: int
    matching: BoxMatching
    examples: HardExamples
    losses: BoxLosses
    background: int = 0
    with_difficult: bool = True
    agnostic: bool = False
    """Whether there is one label besides the background's."""
    weights: tuple[float, float] = (1.0, 1.0)
    """Of the loss of places and of confidences."""
    normalization: Normalization = Normalization.VALID
    objectness: float = 0.01

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MultiBoxLoss:
        p = param.multibox_loss_param
        _check(p)
        places, confidences = [*param.propagate_down, True, True][:2]
        return cls(
            classes=p.num_classes,
            background=p.background_label_id,
            matching=BoxMatching(
                BoxCode.from_param(p, p.encode_variance_in_target),
                p.overlap_threshold if p.match_type == p.PER_PREDICTION else None,
                p.use_prior_for_matching,
                p.ignore_cross_boundary_bbox,
            ),
            with_difficult=p.use_difficult_gt,
            agnostic=p.map_object_to_agnostic,
            examples=HardExamples(
                p.MiningType.Name(p.mining_type), p.neg_pos_ratio, p.neg_overlap, p.sample_size
            ),
            losses=cls.losses_of(param),
            weights=(p.loc_weight * places, 1.0 * confidences),
            normalization=Averaging.from_param(param.loss_param).mode,
            objectness=p.objectness_score,
        )

    @classmethod
    def losses_of(cls, param: Any) -> BoxLosses:
        p = param.multibox_loss_param
        return BoxLosses(p.loc_loss_type == p.L2, p.conf_loss_type == p.LOGISTIC)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        places, confidences, prior, rows, *stage = bottoms
        if len(prior) < 3 or prior[1] != 2 or prior[2] % 4 or prior[2] == 0:
            raise ShapeError(f"bottom[2] must be prior boxes of shape (1, 2, 4 * boxes), got {prior}")
        check_rows(rows, "bottom[3]")
        priors = prior[2] // 4
        shapes = (places, confidences, *stage)
        what = ("location predictions", "confidence predictions", "earlier confidences", "earlier places")
        for shape, name, each in zip(shapes, what, (4, self.classes, 2, 4), strict=False):
            if shape[:1] != places[:1] or prod(shape[1:]) != priors * each:
                raise ShapeError(
                    f"Number of priors must match number of {name}: {priors} priors need"
                    f" {(*places[:1], priors * each)}, got {shape}"
                )
        if stage and not (self.matching.by_prior and self.examples.mining == "MAX_NEGATIVE"):
            raise UnsupportedError(
                "an earlier stage needs use_prior_for_matching, and mining_type MAX_NEGATIVE"
            )
        return ((),)

    def allowed_labels(self, bottoms: Shapes) -> AllowedLabels | None:
        return None if self.classes == 2 else label_column(3, self.classes)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        places, confidences, prior, rows, *stage = bottoms
        priors = Value(prior.name, prior.dims[2:3]).shape[0] // 4
        predicted = self._predicted(g, bottoms, priors)
        truth = emit_truth(g, rows.name, g.op("Shape", places.name, end=1), self.with_difficult)
        found, inside = self.matching.emit(g, predicted, truth, (places.dims[0], None, priors))
        matched = g.op("GreaterOrEqual", found.place, g.ints(0))
        index = g.op("Unsqueeze", g.op("Max", found.place, g.ints(0)), g.ints([2]))
        box = split_pairs(g, g.op("GatherND", truth.boxes, index, batch_dims=1))
        difference = _where(g, matched, self.matching.code.emit_difference(g, *predicted, box))
        target = self._target(g, matched, g.op("GatherND", truth.labels, index, batch_dims=1))
        scores = g.op("Reshape", confidences.name, g.ints([0, priors, self.classes]))
        slope, losses, hardness = self.losses.emit_confidences(g, scores, target)
        of_places = g.op("ReduceSum", self.losses.emit_places(g, difference), g.ints([2]), keepdims=0)
        may_count = self._may_count(g, matched, inside, stage)
        boxes = Boxes(matched, may_count, found.best, hardness, of_places)
        counted = self.examples.emit(
            g, boxes, g.op("Unsqueeze", emit_any(g, truth.real, 1), g.ints([1])), priors
        )
        every = None
        if counted is not None:
            matched, every = counted
            difference = _where(g, matched, difference)
            losses = g.op("Where", every, losses, g.const(0))
        divisor = self._divisor(g, matched, places)
        parts = (self.losses.emit_places(g, difference), losses)
        sums = [
            g.op("Mul", g.op("ReduceSum", part, keepdims=0), g.const(weight))
            for part, weight in zip(parts, self.weights, strict=True)
        ]
        loss = g.op("Div", g.op("Add", *sums), divisor)
        return Emitted((loss,), _Saved(tuple(bottoms), difference, slope, every, divisor))

    def _predicted(self, g: GraphBuilder, bottoms: Sequence[Value], priors: int) -> Predicted:
        parts = g.op("Reshape", first_priors(g, bottoms[2]), g.ints([2, priors, 4]))
        corners, variances = g.ops("Split", parts, outputs=2, axis=0, num_outputs=2)  # (1, P, 4)
        boxes = split_pairs(g, corners)
        if len(bottoms) == 6:
            earlier = g.op("Reshape", bottoms[5].name, g.ints([0, priors, 4]))
            boxes = self.matching.code.emit_box(g, earlier, boxes, variances)
        return Predicted(g.op("Reshape", bottoms[0].name, g.ints([0, priors, 4])), boxes, variances)

    def _may_count(self, g: GraphBuilder, matched: str, inside: str | None, stage: Sequence[Value]) -> str:
        """Which priors may stand for the background: bool (N, P)."""
        may = g.op("Not", matched)
        if inside is not None:
            may = g.op("And", may, inside)
        if not stage:
            return may
        objects = g.op("Gather", g.op("Reshape", stage[0].name, g.ints([0, -1, 2])), g.ints(1), axis=2)
        return g.op("And", may, g.op("GreaterOrEqual", objects, g.const(self.objectness)))

    def _target(self, g: GraphBuilder, matched: str, label: str) -> str:
        """What the confidences should be, (N, P, C): 1 for the label, or for the background."""
        if self.agnostic:
            label = g.ints(self.background + 1)
        elif self.classes == 2:
            label = g.op("Min", label, g.ints(1))
        label = g.op("Where", matched, label, g.ints(self.background))
        classes = g.ints(list(range(self.classes)))
        return g.op("Cast", g.op("Equal", g.op("Unsqueeze", label, g.ints([2])), classes), to=FLOAT)

    def _divisor(self, g: GraphBuilder, matched: str, places: Value) -> str:
        """At least 1, float32 ()."""
        mode = self.normalization
        if mode == Normalization.NONE:
            return g.const(1)
        if mode == Normalization.BATCH_SIZE:
            return g.op("Max", count(g, places, 0, 1), g.const(1))
        marks = g.op("Cast", matched, to=FLOAT)
        if mode == Normalization.FULL:
            return g.op("Cast", g.op("Size", marks), to=FLOAT)
        return g.op("Max", g.op("ReduceSum", marks, keepdims=0), g.const(1))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 2, "prior")
        self.refuse(needed, 3, "label")
        weight = d_tops[0]
        nothing = [None] * (len(saved.bottoms) - 2)
        if weight is None:
            return Gradients((None, None, *nothing))
        each = g.op("Div", weight, saved.divisor)
        slope = self.losses.emit_slope(g, saved.difference)
        d_places = g.op("Mul", slope, g.op("Mul", each, g.const(self.weights[0])))
        d_confidences = g.op("Mul", saved.slope, each)
        if saved.counted is not None:
            d_confidences = _where(g, saved.counted, d_confidences)
        shaped = [
            shaped_like(g, Value(name, (bottom.dims[0], None, None)), bottom) if wanted else None
            for name, bottom, wanted in zip(
                (d_places, d_confidences), saved.bottoms[:2], needed.bottoms[:2], strict=True
            )
        ]
        return Gradients((*shaped, *nothing))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        truth = reference_truth(bottoms[3], self.with_difficult)
        corners, variances = bottoms[2][0].reshape(2, -1, 4)
        sums = np.zeros(3)
        for image in range(len(bottoms[0])):
            own = [bottom[image] for bottom in (*bottoms[:2], *bottoms[4:])]
            sums += self._reference_image(own, corners, variances, truth.get(image))
        images, priors = len(bottoms[0]), len(corners)
        divisor = {
            Normalization.FULL: images * priors,
            Normalization.VALID: sums[2],
            Normalization.BATCH_SIZE: images,
        }.get(self.normalization, 1)
        return Referenced((np.asarray((sums[:2] * self.weights).sum() / max(divisor, 1)),))

    def _reference_image(
        self, own: Sequence[Array], boxes: Array, variances: Array, truth: RightBoxes | None
    ) -> tuple[float, float, float]:
        """Of one image the losses of places and confidences, and how many priors stand for a box."""
        coded, scores, *stage = own[0].reshape(-1, 4), own[1].reshape(-1, self.classes), *own[2:]
        if truth is None:
            every = self.losses.confidences(scores, np.full(len(scores), self.background))
            return 0, self.losses.focused(every).sum() if self.examples.mining == "NONE" else 0, 0
        code = self.matching.code
        if len(stage) == 2:
            boxes = code.box(stage[1].reshape(-1, 4), boxes, variances)
        index, best, may_count = self.matching.reference(coded, boxes, variances, truth)
        if stage:
            may_count &= stage[0].reshape(-1, 2)[:, 1] >= np.float32(self.objectness)
        labels = np.full_like(truth.labels, self.background + 1) if self.agnostic else truth.labels
        labels = np.minimum(labels, 1) if self.classes == 2 else labels
        losses = self.losses.confidences(scores, np.where(index < 0, self.background, labels[index]))
        difference = code.difference(coded, boxes, variances, truth.boxes[index])
        of_places = np.where(index < 0, 0, self.losses.places(difference).sum(1))
        stays, counts = self.examples.reference(index >= 0, may_count, best, losses, of_places)
        return of_places[stays].sum(), self.losses.focused(losses[counts]).sum(), stays.sum()


def _where(g: GraphBuilder, flags: str, values: str) -> str:
    """Values (N, P, ...) where the flags (N, P) are true, else 0."""
    return g.op("Where", g.op("Unsqueeze", flags, g.ints([2])), values, g.const(0))


def _check(p: Any) -> None:
    if p.num_classes < 1:
        raise NetError("Must provide num_classes.")
    mined = p.mining_type != p.NONE
    if p.HasField("do_neg_mining") and p.do_neg_mining != mined:
        raise NetError("multibox_loss_param: do_neg_mining and mining_type say different things")
    if not p.share_location:
        raise UnsupportedError("multibox_loss_param: share_location: false is not implemented")
    if p.bp_inside:
        raise UnsupportedError("multibox_loss_param: bp_inside is not implemented")
    if mined and p.HasField("nms_param") and p.nms_param.nms_threshold > 0:
        raise UnsupportedError(
            "multibox_loss_param: nms_param, suppression before mining, is not implemented"
        )
    if p.background_label_id >= p.num_classes:
        raise NetError("background_label_id should be within [0, num_classes) for Softmax.")
    if p.conf_loss_type == p.LOGISTIC and (p.background_label_id != 0 or not mined):
        raise UnsupportedError("multibox_loss_param: LOGISTIC needs background_label_id 0, and mining")
    if p.mining_type == p.HARD_EXAMPLE and p.sample_size < 1:
        raise NetError(f"Check failed: sample_size > 0 ({p.sample_size} vs. 0)")
    if p.map_object_to_agnostic and p.num_classes != 2:
        raise NetError(f"Check failed: num_classes == 2 ({p.num_classes} vs. 2)")

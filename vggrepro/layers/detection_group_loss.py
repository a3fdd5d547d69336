"""DetectionGroupLoss: how far the boxes of a proposal network with groups of boxes at each place are from the
right ones (Cascade R-CNN's layer; not from BVLC Caffe).

Source: zhaoweicai/cascade-rcnn, fields ``detection_group_loss_param`` and ``bbox_reg_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Needed,
    Reach,
    Referenced,
    Shapes,
    StateDef,
    exactly,
    register,
)
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.draw_state import draw_state, emit_next_state, next_state
from vggrepro.layers.rules.field_loss import FieldLoss, Maps, Slopes, emit_gradients, emit_shares, shares
from vggrepro.layers.rules.field_maps import check_groups, emit_groups, group_maps
from vggrepro.layers.rules.loss import FLT_MIN, LossLayer
from vggrepro.layers.rules.placed_fields import PlacedFields
from vggrepro.layers.rules.sampling import (
    Flags,
    Sampling,
    chosen,
    emit_chosen,
    emit_highest,
    emit_number,
    highest,
)

MINING = ("random", "bootstrap", "mixture")
RANKING = ("conf_prob", "conf_loss")
LOSSES = ("Smooth_L1", "Euclidean_L2")


class _Saved(NamedTuple):
    bottoms: tuple[Value, Value]
    slopes: Slopes


@register
@dataclass(frozen=True)
class DetectionGroupLoss(LossLayer[_Saved]):
    """Bottoms, with K fields at each place: scores of ``cls_num`` classes, that of the background first (N *
    K, C, H, W); x, y, width and height (N * K, 4, H, W); labels, right boxes (centre, width and height in
    pixels) and overlaps (N * K, 6, H, W). Top (1, 1, 1, 2): the loss
    (:mod:`vggrepro.layers.rules.field_loss`), and the part of it that is boxes'.

    In each image all objects count, and of the background (label 0, an overlap below ``bg_threshold``)
    ``bg_multiple`` times as many, at least ``min_num_neg``; or with a ``batch_size`` so many places, 1 in 1 +
    ``bg_multiple`` of them for objects, as far as there are some. Objects are drawn; the background too
    ("random"), or the places count that lack the background's probability most ("bootstrap"), or half and
    half ("mixture"). ``pos_neg_weighted``: all objects together weigh 1 / (1 + ``bg_multiple``).

    Predictions are cut only where both ``field_xyr`` and ``field_whr`` are set. The state ``random`` is
    Dropout's. DEVIATION: the draw is not Caffe's. The fork cuts predictions in its bottom, for the layers
    behind it too; here the bottom stays, and these cut it themselves.
    """

    type = "DetectionGroupLoss"
    origin = "Cascade R-CNN"
    bottoms = exactly(3)
    blind_bottoms = frozenset({2})

    loss_of: FieldLoss
    sampling: Sampling
    threshold: float = 0.5
    multiple: int = 4
    mining: str = "random"
    ranking: str = "conf_loss"
    least: int = 5
    batch: int | None = None
    by_share: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DetectionGroupLoss:
        p = param.detection_group_loss_param
        for name, known in (
            ("neg_mining_type", MINING),
            ("neg_ranking_type", RANKING),
            ("bbox_loss_type", LOSSES),
        ):
            if getattr(p, name) not in known:
                raise NetError(f"detection_group_loss_param: {name} must be {' or '.join(known)}")
        if param.loss_param.HasField("ignore_label"):
            raise UnsupportedError("DetectionGroupLoss: ignore_label is not implemented")
        if p.batch_size == 0 or p.batch_size < -1 or len(p.field_w) != len(p.field_h):
            raise NetError(
                "detection_group_loss_param: needs a batch_size above 0 or -1, and as many field_w as field_h"
            )
        bounded = p.HasField("field_xyr") and p.HasField("field_whr")
        loss = FieldLoss(
            p.cls_num,
            PlacedFields(
                tuple(zip(p.field_w, p.field_h, strict=True)),
                p.stride,
                (p.field_xyr, p.field_whr) if bounded else None,
            ),
            BoxStatistics.from_param(param),
            getattr(p, "lambda"),
            p.bbox_loss_type == "Smooth_L1",
            p.objectness,
        )
        return cls(
            loss,
            Sampling.named(param.name),
            p.bg_threshold,
            p.bg_multiple,
            p.neg_mining_type,
            p.neg_ranking_type,
            p.min_num_neg,
            p.batch_size if p.batch_size > 0 else None,
            p.pos_neg_weighted,
        )

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_groups(bottoms, len(self.loss_of.fields.sides), self.loss_of.classes)
        return ((1, 1, 1, 2),)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (draw_state(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        size = Value(bottoms[0].name, bottoms[0].dims[2:]).shape
        places = len(self.loss_of.fields.sides) * prod(size)
        maps = emit_groups(g, bottoms, len(self.loss_of.fields.sides))
        label, overlap = (g.op("Reshape", x, g.ints([0, places])) for x in (maps.label, maps.overlap))
        found = g.op("Greater", label, g.const(0))
        low = g.op("Less", overlap, g.const(self.threshold))
        nothing = g.op("And", g.op("Equal", g.op("Cast", label, to=INT64), g.ints(0)), low)
        keys = self.sampling.emit_keys(g, Value(found, (None, places)), states[0].name)
        most = self._numbers(g, emit_number(g, found), emit_number(g, nothing))
        objects = emit_chosen(g, found, keys, most[0])
        background = self._background(g, maps, nothing, keys, most[1])
        flags = [
            g.op("Reshape", x, g.op("Shape", maps.label))
            for x in (objects, background, g.op("Or", objects, background))
        ]
        weights = g.op("Add", g.op("Mul", maps.overlap, g.const(0)), g.const(1))
        if self.by_share:
            total = g.op("ReduceSum", g.op("Cast", flags[2], to=FLOAT), keepdims=0)
            weights = emit_shares(g, weights, (flags[0], flags[1]), self.multiple, total)
        top, slopes = self.loss_of.emit(g, maps, flags[2], weights, (size[0], size[1]))
        saved = _Saved((bottoms[0], bottoms[1]), slopes)
        return Emitted((top,), saved, next_states=(emit_next_state(g, states[0].name),))

    def _numbers(self, g: GraphBuilder, objects: str, rest: str) -> tuple[str, str]:
        """How many objects and places of the background count, int64 (N, 1), of so many."""
        if self.batch is None:
            wanted = g.op("Max", g.op("Mul", objects, g.ints(self.multiple)), g.ints(self.least))
            return objects, g.op("Min", wanted, rest)
        chosen_objects = g.op("Min", objects, g.ints(self._objects))
        return chosen_objects, g.op("Min", g.op("Sub", g.ints(self.batch), chosen_objects), rest)

    @property
    def _objects(self) -> int:
        """How many places of a batch are for objects."""
        return floor((self.batch or 0) / (1 + self.multiple) + 0.5)

    def _background(self, g: GraphBuilder, maps: Maps, flags: str, keys: str, most: str) -> str:
        """Which of the flagged places count, bool (N, K * S), ``most`` (N, 1) of them."""
        if self.mining == "random":
            return emit_chosen(g, flags, keys, most)
        prob = g.op("Gather", g.op("Softmax", maps.scores, axis=2), g.ints(0), axis=2)
        if self.ranking == "conf_prob":
            scores = g.op("Sub", g.const(1), prob)
        else:
            scores = g.op("Neg", g.op("Log", g.op("Max", prob, g.const(FLT_MIN))))
        scores = g.op("Reshape", scores, g.op("Shape", flags))
        if self.mining == "bootstrap":
            return emit_highest(g, flags, scores, most)
        half = g.op("Div", g.op("Add", most, g.ints(1)), g.ints(2))
        hard = emit_highest(g, flags, scores, half)
        rest = g.op("And", flags, g.op("Not", hard))
        return g.op("Or", hard, emit_chosen(g, rest, keys, g.op("Sub", most, half)))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 2, "label")
        if d_tops[0] is None:
            return Gradients((None,) * 3)
        gradients = emit_gradients(g, saved.slopes, d_tops[0])
        shaped = [
            g.op("Reshape", d, g.op("Shape", bottom.name)) if wanted else None
            for d, bottom, wanted in zip(gradients, saved.bottoms, needed.bottoms[:2], strict=True)
        ]
        return Gradients((*shaped, None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        maps = group_maps(bottoms, len(self.loss_of.fields.sides))
        images = len(maps.label)
        label, overlap = (x.reshape(images, -1) for x in (maps.label, maps.overlap))
        prob = np.exp(maps.scores - maps.scores.max(2, keepdims=True))
        prob = (prob[:, :, 0] / prob.sum(2)).reshape(images, -1)
        scores = 1 - prob if self.ranking == "conf_prob" else -np.log(np.maximum(prob, FLT_MIN))
        keys = self.sampling.draw_keys(images, label.shape[1], states[0])
        nothing = (np.trunc(label) == 0) & (overlap < np.float32(self.threshold))
        drawn = [self._reference_drawn(label[i] > 0, nothing[i], keys[i], scores[i]) for i in range(images)]
        objects, background = (np.reshape(x, maps.label.shape) for x in zip(*drawn, strict=True))
        weights = np.ones(maps.label.shape)
        if self.by_share:
            total = float((objects | background).sum())
            weights = shares(weights, (objects, background), self.multiple, total)
        size = (bottoms[0].shape[2], bottoms[0].shape[3])
        top = self.loss_of.reference(maps, objects | background, weights, size)
        return Referenced((top,), next_states=(next_state(states[0]),))

    def _reference_drawn(self, found: Flags, nothing: Flags, keys: Any, scores: Array) -> tuple[Flags, Flags]:
        """Which places of an image count as objects and as background."""
        most = int(found.sum())
        wanted = max(most * self.multiple, self.least)
        if self.batch is not None:
            most = min(most, self._objects)
            wanted = self.batch - most
        wanted = min(wanted, int(nothing.sum()))
        objects = chosen(found, keys, most)
        if self.mining == "random":
            return objects, chosen(nothing, keys, wanted)
        hard_number = wanted if self.mining == "bootstrap" else (wanted + 1) // 2
        hard = highest(nothing, scores, hard_number)
        return objects, hard | chosen(nothing & ~hard, keys, wanted - hard_number)

"""MSCNNDetectionLoss: how far the boxes of a proposal network of several scales are from the right ones
(MS-CNN's layer; not from BVLC Caffe). Definitions call it DetectionLoss, as YOLO's forks call another layer;
whether a net sets ``cls_num`` tells them apart.

Source: zhaoweicai/mscnn, fields ``detection_loss_param`` and ``bbox_reg_param``; its GPU code where the two
differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Gradients, Needed, Reach, Referenced, Shapes, StateDef
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.draw_state import draw_state, emit_next_state, next_state
from vggrepro.layers.rules.field_loss import (
    FieldLoss,
    Maps,
    Slopes,
    emit_gradients,
    emit_shares,
    shares,
)
from vggrepro.layers.rules.field_maps import check_joined, emit_joined, joined_maps
from vggrepro.layers.rules.loss import LossLayer
from vggrepro.layers.rules.placed_fields import PlacedFields
from vggrepro.layers.rules.sampling import (
    INDEX,
    Flags,
    Sampling,
    emit_highest,
    emit_number,
    highest,
)

LEAST = 4
"""How many places of the background count at least, for each class."""


class _Saved(NamedTuple):
    bottom: Value
    slopes: Slopes


@dataclass(frozen=True)
class MSCNNDetectionLoss(LossLayer[_Saved]):
    """Bottoms: scores of ``cls_num`` classes, that of the background first, and x, y, width and height (N, C
    + 4, H, W); labels, right boxes (centre, width and height in pixels) and overlaps (N, 6, H, W). Top (1, 1,
    1, 2): the loss (:mod:`vggrepro.layers.rules.field_loss`), and the part of it that is boxes'.

    All objects count. Of the background (label 0, an overlap below ``bg_threshold``) count for each image
    with ``sample_mode``: "bootstrap" those with the largest scores of each class, ``bg_multiple`` times as
    many as the class has objects, at least 4; "random" as many draws as ``bg_multiple`` times the objects, at
    least 4 for each class; "mixture" both, with half of the multiple; anything else all. ``iou_weighted``:
    overlaps weigh objects; ``pos_neg_weighted``: all objects together weigh 1 / (1 + ``bg_multiple``).

    The state ``random``, for draws, is Dropout's. DEVIATION: the draw is not Caffe's.
    """

    type = "DetectionLoss"
    origin = "MS-CNN"

    loss_of: FieldLoss
    threshold: float = 0.5
    multiple: int = 4
    mode: str = "random"
    by_overlap: bool = False
    by_share: bool = False
    sampling: Sampling | None = None
    """None where nothing is drawn."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MSCNNDetectionLoss:
        p = param.detection_loss_param
        if p.coord_num != 4:
            raise NetError(f"detection_loss_param: coord_num must be 4, got {p.coord_num}")
        if param.loss_param.HasField("ignore_label"):
            raise UnsupportedError("DetectionLoss of MS-CNN: ignore_label is not defined in the fork")
        loss = FieldLoss(
            p.cls_num,
            PlacedFields(((p.field_w, p.field_h),), p.downsample_rate, (p.field_xyr, p.field_whr)),
            BoxStatistics.from_param(param),
            getattr(p, "lambda"),
            p.bb_smooth,
            p.objectness,
        )
        draws = p.sample_mode in ("random", "mixture")
        return cls(
            loss,
            p.bg_threshold,
            p.bg_multiple,
            p.sample_mode,
            p.iou_weighted,
            p.pos_neg_weighted,
            Sampling.named(param.name) if draws else None,
        )

    @property
    def _ratio(self) -> float:
        return self.multiple * (0.5 if self.mode == "mixture" else 1.0)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        check_joined(bottoms, self.loss_of.classes)
        return ((1, 1, 1, 2),)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return () if self.sampling is None else (draw_state(),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        size = Value(bottoms[0].name, bottoms[0].dims[2:]).shape
        maps = emit_joined(g, bottoms, self.loss_of.classes)
        label = g.op("Squeeze", g.op("Cast", maps.label, to=INT64), g.ints([1]))  # (N, S)
        label = g.op("Min", label, g.ints(1)) if self.loss_of.binary else label
        objects = g.op("Not", g.op("Equal", label, g.ints(0)))
        low = g.op("Less", g.op("Squeeze", maps.overlap, g.ints([1])), g.const(self.threshold))
        candidates = g.op("And", g.op("Not", objects), low)
        background = self._background(g, maps, label, candidates, [s.name for s in states], prod(size))
        kept = g.op("Or", objects, background)
        flags = [g.op("Unsqueeze", x, g.ints([1])) for x in (objects, background, kept)]
        weights = self._weights(g, maps.overlap, flags)
        top, slopes = self.loss_of.emit(g, maps, flags[2], weights, (size[0], size[1]))
        following = tuple(emit_next_state(g, s.name) for s in states)
        return Emitted((top,), _Saved(bottoms[0], slopes), next_states=following)

    def _background(
        self, g: GraphBuilder, maps: Maps, label: str, candidates: str, states: Sequence[str], places: int
    ) -> str:
        """Which candidates count, bool (N, S)."""
        found = []
        if self.sampling is not None:
            found.append(self._drawn(g, self.sampling, label, states[0], places))
        if self.mode in ("bootstrap", "mixture"):
            for index in range(1, self.loss_of.classes):
                own = g.op("Gather", g.op("Squeeze", maps.scores, g.ints([1])), g.ints(index), axis=1)
                number = emit_number(g, g.op("Equal", label, g.ints(index)))
                most = self._most(g, number, LEAST)
                found.append(emit_highest(g, candidates, own, most))
        if not found:
            return candidates
        total = found[0]
        for flags in found[1:]:
            total = g.op("Or", total, flags)
        return g.op("And", candidates, total)

    def _most(self, g: GraphBuilder, number: str, least: int) -> str:
        """A number of objects, int64 (N, 1), times the multiple, at least ``least``."""
        product = g.op("Mul", g.op("Cast", number, to=FLOAT), g.const(self._ratio))
        return g.op("Max", g.op("Cast", g.op("Floor", product), to=INT64), g.ints(least))

    def _drawn(self, g: GraphBuilder, sampling: Sampling, label: str, state: str, places: int) -> str:
        """Places that are drawn, each as often as it comes: bool (N, S)."""
        objects = g.op("Not", g.op("Equal", label, g.ints(0)))
        most = self._most(g, emit_number(g, objects), LEAST * (self.loss_of.classes - 1))
        draws = self._draws(places)
        frame = g.op(
            "Expand", g.const(0), g.op("Concat", g.op("Shape", label, end=1), g.ints([draws]), axis=0)
        )
        keys = sampling.emit_keys(g, Value(frame, (None, draws)), state)
        place = g.op("Mod", g.op("Div", keys, g.ints(INDEX)), g.ints(places))
        counts = g.op("Cast", g.op("Less", g.ints(range(draws)), most), to=FLOAT)  # (N, draws)
        empty = g.op("Mul", g.op("Cast", objects, to=FLOAT), g.const(0))
        hits = g.op("ScatterElements", empty, place, counts, axis=1, reduction="add")
        return g.op("Greater", hits, g.const(0.5))

    def _draws(self, places: int) -> int:
        """More draws than an image ever needs."""
        return max(int(places * self._ratio), LEAST * (self.loss_of.classes - 1))

    def _weights(self, g: GraphBuilder, overlap: str, flags: Sequence[str]) -> str:
        """Of all places, (N, 1, S); ``flags``: objects, background that counts, both."""
        objects, background, kept = flags
        weights = g.op("Add", g.op("Mul", overlap, g.const(0)), g.const(1))
        if self.by_overlap:
            weights = g.op("Where", objects, overlap, weights)
        if not self.by_share:
            return weights
        total = g.op("ReduceSum", g.op("Cast", kept, to=FLOAT), keepdims=0)
        return emit_shares(g, weights, (objects, background), self.multiple, total)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        self.refuse(needed, 1, "label")
        if d_tops[0] is None:
            return Gradients((None, None))
        joined = g.op("Concat", *emit_gradients(g, saved.slopes, d_tops[0]), axis=2)
        shape = g.op("Shape", saved.bottom.name)
        return Gradients((g.op("Reshape", joined, shape), None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        maps = joined_maps(bottoms, self.loss_of.classes)
        label = maps.label[:, 0].astype(int)
        label = np.minimum(label, 1) if self.loss_of.binary else label
        candidates = (label == 0) & (maps.overlap[:, 0] < np.float32(self.threshold))
        background = candidates & self._reference_found(maps, label, candidates, states)
        objects, background = (label != 0)[:, None], background[:, None]
        weights = np.where(objects & self.by_overlap, maps.overlap, 1.0)
        if self.by_share:
            total = float((objects | background).sum())
            weights = shares(weights, (objects, background), self.multiple, total)
        size = (bottoms[0].shape[2], bottoms[0].shape[3])
        top = self.loss_of.reference(maps, objects | background, weights, size)
        return Referenced((top,), next_states=tuple(next_state(state) for state in states))

    def _reference_found(self, maps: Maps, label: Any, candidates: Flags, states: Sequence[Any]) -> Flags:
        images, places = label.shape
        found = np.zeros(label.shape, bool)
        for image in range(images):
            if self.sampling is not None:
                least = LEAST * (self.loss_of.classes - 1)
                draws = max(int((label[image] != 0).sum() * self._ratio), least)
                keys = self.sampling.draw_keys(images, self._draws(places), states[0])[image]
                found[image, keys[:draws] // INDEX % places] = True
            for index in range(1, self.loss_of.classes) if self.mode in ("bootstrap", "mixture") else ():
                most = max(LEAST, int((label[image] == index).sum() * self._ratio))
                found[image] |= highest(candidates[image], maps.scores[image, 0, index], most)
        drawn = self.sampling is not None or self.mode == "bootstrap"
        return found if drawn else np.ones_like(found)

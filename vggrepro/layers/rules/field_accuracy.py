"""How good MS-CNN's proposal networks are at the places of their maps: as nodes and in NumPy.

Sources: zhaoweicai/mscnn, DetectionAccuracy; zhaoweicai/cascade-rcnn, DetectionGroupAccuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.base import Array
from vggrepro.layers.rules.box_code import Pairs
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.field_loss import Maps
from vggrepro.layers.rules.found_shares import average, emit_average
from vggrepro.layers.rules.pixel_boxes import box_overlap, emit_box_overlap
from vggrepro.layers.rules.placed_fields import PlacedFields


@dataclass(frozen=True)
class FieldAccuracy:
    """The share of places whose label is among their ``top_k`` best classes, that share for objects, and the
    average overlap of objects' predicted boxes with the right ones; each -1 where there is nothing to count.
    Places of the background with an overlap of ``threshold`` or more, and those with the label ``ignored``,
    do not count."""

    classes: int
    fields: PlacedFields
    statistics: BoxStatistics
    threshold: float
    binary: bool = False
    ignored: int | None = None
    top_k: int = 1
    last_first: bool = False
    """Whether of equal scores the last class is the best."""
    least: float = 0.0
    """Boxes that share fewer pixels in width or height share nothing."""

    @classmethod
    def from_param(cls, param: Any, p: Any, fields: Any, stride: int, **rules: Any) -> FieldAccuracy:
        """That of a ``LayerParameter`` and the message with the layer's own fields."""
        loss = param.loss_param
        return cls(
            p.cls_num,
            PlacedFields(tuple(fields), stride, (p.field_xyr, p.field_whr)),
            threshold=p.bg_threshold,
            binary=p.objectness,
            ignored=loss.ignore_label if loss.HasField("ignore_label") else None,
            **rules,
        )

    def __post_init__(self) -> None:
        if self.classes < 2 or (self.binary and self.classes != 2) or not 1 <= self.top_k <= self.classes:
            raise NetError("needs cls_num of 2 or more, 2 with objectness, and top_k from 1 to cls_num")

    def emit(self, g: GraphBuilder, maps: Maps, size: tuple[int, int]) -> tuple[str, str]:
        """Both shares (1, 1, 1, 2) and the overlap (1, 1, 1, 1). ``size``: height and width of the maps."""
        label = g.op("Cast", maps.label, to=INT64)
        own = g.op("Min", label, g.ints(1)) if self.binary else label
        nothing = g.op("Equal", own, g.ints(0))
        near = g.op("GreaterOrEqual", maps.overlap, g.const(self.threshold))
        counts, objects = (
            g.op("Not", g.op("And", nothing, near)),
            g.op("Not", g.op("Equal", label, g.ints(0))),
        )
        if self.ignored is not None:
            counts, objects = (
                g.op("And", flags, g.op("Not", g.op("Equal", x, g.ints(self.ignored))))
                for flags, x in ((counts, own), (objects, label))
            )
        hits = g.op("Cast", self._hits(g, maps.scores, own), to=FLOAT)
        foreground = g.op("And", counts, g.op("Not", nothing))
        found = [emit_average(g, hits, flags) for flags in (counts, foreground)]
        shares = g.op("Reshape", g.op("Concat", *found, axis=0), g.ints([1, 1, 1, 2]))
        overlaps = emit_average(g, self._overlaps(g, maps, size), objects)
        return shares, g.op("Reshape", overlaps, g.ints([1, 1, 1, 1]))

    def _hits(self, g: GraphBuilder, scores: str, label: str) -> str:
        """Whether the label is among the best classes, bool (N, K, S)."""
        column = g.op("Unsqueeze", label, g.ints([2]))
        classes = g.const(np.arange(self.classes)[:, None], np.int64)
        right = g.op("Cast", g.op("Equal", column, classes), to=FLOAT)
        own = g.op("ReduceSum", g.op("Mul", scores, right), g.ints([2]))
        ahead = g.op("Greater" if self.last_first else "Less", classes, column)
        better = g.op("Or", g.op("Greater", scores, own), g.op("And", g.op("Equal", scores, own), ahead))
        number = g.op("ReduceSum", g.op("Cast", better, to=FLOAT), g.ints([2]), keepdims=0)
        return g.op("Less", number, g.const(self.top_k))

    def _overlaps(self, g: GraphBuilder, maps: Maps, size: tuple[int, int]) -> str:
        """Of predicted and right boxes, float32 (N, K, S)."""
        centres, sides = (g.const(x) for x in self.fields.grid(size))
        mean, std = (np.reshape(x, (4, 1)) for x in (self.statistics.mean, self.statistics.deviation))
        coded = g.op("Add", g.op("Mul", maps.coded, g.const(std)), g.const(mean))
        if (limits := self.fields.limits(BoxStatistics())) is not None:
            coded = g.op("Min", g.op("Max", coded, g.const(limits[0])), g.const(limits[1]))
        shift, stretch = g.ops("Split", coded, outputs=2, axis=2, num_outputs=2)  # (N, K, 2, S)
        middle = g.op("Add", g.op("Mul", shift, sides), centres)
        right = g.ops("Split", maps.box, outputs=2, axis=2, num_outputs=2)
        pairs = []
        for centre, side in ((middle, g.op("Mul", g.op("Exp", stretch), sides)), right):
            begin = g.op("Sub", centre, g.op("Mul", side, g.const(0.5)))
            end = g.op("Sub", g.op("Add", begin, side), g.const(1))
            pairs.append(Pairs(*(g.op("Transpose", x, perm=[0, 1, 3, 2]) for x in (begin, end))))
        return g.op("Cast", emit_box_overlap(g, pairs[0], pairs[1], self.least), to=FLOAT)

    def reference(self, maps: Maps, size: tuple[int, int]) -> tuple[Array, Array]:
        """The same in NumPy."""
        label = np.trunc(maps.label).astype(int)
        own = np.minimum(label, 1) if self.binary else label
        near = (own == 0) & (maps.overlap >= np.float32(self.threshold))
        counts, objects = ~near & (own != self.ignored), (label != 0) & (label != self.ignored)
        score = np.take_along_axis(maps.scores, own.clip(0, self.classes - 1)[:, :, None], axis=2)
        classes = np.arange(self.classes)[:, None]
        ahead = classes > own[:, :, None] if self.last_first else classes < own[:, :, None]
        better = (maps.scores > score) | ((maps.scores == score) & ahead)
        hits = (better.sum(2) < self.top_k) * 1.0
        shares = [average(hits, counts), average(hits, counts & (own != 0))]
        coded = np.moveaxis(self.statistics.reference(np.moveaxis(maps.coded, 2, 3)), 3, 2)
        limits = self.fields.limits(BoxStatistics())
        coded = coded if limits is None else coded.clip(*limits)
        centres, sides = self.fields.grid(size)
        found = (coded[:, :, :2] * sides + centres, np.exp(coded[:, :, 2:]) * sides)
        corners = [
            np.moveaxis(np.concatenate([middle - side / 2, middle + side / 2 - 1], axis=2), 2, 3)
            for middle, side in (found, (maps.box[:, :, :2], maps.box[:, :, 2:]))
        ]
        overlaps = average(box_overlap(corners[0], corners[1], self.least), objects)
        return np.reshape(shares, (1, 1, 1, 2)), np.full((1, 1, 1, 1), overlaps)

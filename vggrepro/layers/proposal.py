"""Proposal: the boxes that a region proposal network is sure of (a layer of Faster R-CNN forks; not from BVLC
Caffe).

Sources: openvinotoolkit/training_toolbox_caffe and sanghoon/pva-faster-rcnn for the type Proposal with
the field ``proposal_param``; rbgirshick/py-faster-rcnn for ProposalLayer of ``rpn.proposal_layer``, a
Python layer with a ``param_str``. "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal
Networks" for what it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import FLOAT, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Count,
    DataRows,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.anchors import cpp_anchors, grid, python_anchors, reference_grid
from vggrepro.layers.rules.param_str import parse_param_str
from vggrepro.layers.rules.pooling_nodes import LOWEST
from vggrepro.layers.rules.sure_boxes import Candidates, SureBoxes

ROW = 5
"""Index of the image, x1, y1, x2, y2."""

PYTHON_KEYS = frozenset({"feat_stride", "scales", "ratios"})


@register
@dataclass(frozen=True)
class Proposal(Layer[None]):
    """Bottoms: probabilities (1, 2 A, H, W), those of foreground last; box offsets (1, 4 A, H, W); and (1, 3)
    or more: height, width and scale of the image (scale of the height, scale of the width).

    Tops: (R, 5), index of the image, x1, y1, x2, y2 in pixels, last ones included; optionally scores (R).
    The A anchors of each place, moved and stretched by the offsets and cut at the image's edges, are
    candidates. Of the ``pre_nms`` surest, one stays unless it overlaps a surer one that stayed by more than
    ``nms_threshold``, in all ``post_nms`` of them, the surest first. A box smaller than ``min_size`` times
    the scale is no candidate for the Python layer; in C++ it has the score 0.

    DEVIATION: the number of proposals depends on the data, a top's shape here does not. R is
    ``post_nms``; the proposals come first, all that is behind them is 0, a region of one pixel with the
    score 0. Of equal scores the earlier anchor is taken, where the forks' sorts do not say.

    No gradient flows. NonMaxSuppression has no CUDA kernel.
    """

    type = "Proposal"
    origin = "Faster R-CNN forks"
    bottoms = exactly(3)
    tops = Count(1, 2)
    data_rows = DataRows(0, 0)

    anchors: tuple[tuple[float, ...], ...]
    stride: float = 16
    min_size: float = 16
    pre_nms: int = 6000
    post_nms: int = 300
    nms_threshold: float = 0.7
    drops_small: bool = False
    gives_scores: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Proposal:
        scores = len(param.top) > 1
        if param.type == "Python":
            return cls._python(param, phase == TRAIN, scores)
        p = param.proposal_param
        if not p.ratio or not p.scale or min(*p.ratio, *p.scale) <= 0:
            raise NetError("proposal_param: needs ratio and scale, each above 0")
        if p.pre_nms_topn < 1 or p.post_nms_topn < 1:
            raise UnsupportedError("proposal_param: pre_nms_topn and post_nms_topn must be above 0")
        return cls(
            cpp_anchors(p.base_size, p.ratio, p.scale),
            p.feat_stride,
            p.min_size,
            p.pre_nms_topn,
            p.post_nms_topn,
            p.nms_thresh,
            gives_scores=scores,
        )

    @classmethod
    def _python(cls, param: Any, train: bool, scores: bool) -> Proposal:
        """py-faster-rcnn's, with the numbers of its configuration."""
        param_str, config = param.python_param.param_str, param.rcnn_config_param
        given = parse_param_str(param_str)
        unknown = sorted(set(given) - PYTHON_KEYS)
        if unknown or "feat_stride" not in given:
            raise UnsupportedError(
                f"param_str {param_str!r}: expected 'feat_stride', and if need be 'scales' and 'ratios'"
            )
        return cls(
            python_anchors(16, given.get("ratios", (0.5, 1, 2)), given.get("scales", (8, 16, 32))),
            given["feat_stride"],
            pre_nms=config.rpn_pre_nms_top_n if train else 6000,
            post_nms=config.rpn_post_nms_top_n if train else 300,
            drops_small=True,
            gives_scores=scores,
        )

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, offsets, info = bottoms
        number = len(self.anchors)
        if len(scores) != 4 or scores[0] != 1:
            raise ShapeError(f"Only single item batches are supported: bottom[0] has shape {scores}")
        if scores[1] != 2 * number or tuple(offsets) != (1, 4 * number, *scores[2:]):
            raise ShapeError(
                f"{number} anchors need bottoms (1, {2 * number}, H, W) and (1, {4 * number}, H, W), got"
                f" shapes {scores} and {offsets}"
            )
        if prod(info) < 3 or info[0] != 1:
            raise ShapeError(f"bottom[2] must be height, width and scale of one image, got shape {info}")
        rows = (self.post_nms, ROW)
        return (rows, rows[:1]) if self.gives_scores else (rows,)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        each = (g.op("Unsqueeze", x, g.ints([0])) for x in self._candidates(g, bottoms))
        rows, _ = self._sure.emit(g, Candidates(*each), self.post_nms)
        regions = g.op("Slice", rows, g.ints([0]), g.ints([ROW]), g.ints([1]))
        if not self.gives_scores:
            return Emitted((regions,), None)
        return Emitted((regions, g.op("Gather", rows, g.ints(ROW), axis=1)), None)

    @property
    def _sure(self) -> SureBoxes:
        return SureBoxes(self.nms_threshold, self.pre_nms, self.post_nms, pixels=True)

    def _candidates(self, g: GraphBuilder, bottoms: Sequence[Value]) -> tuple[str, str]:
        """All boxes (A * H * W, 4), place by place, and their scores (A * H * W)."""
        scores, offsets, info = bottoms
        number = len(self.anchors)
        foreground = g.op("Slice", scores.name, g.ints([number]), g.ints([2 * number]), g.ints([1]))
        flat = g.op("Reshape", g.op("Transpose", foreground, perm=[0, 2, 3, 1]), g.ints([-1]))
        coded = g.op("Reshape", g.op("Transpose", offsets.name, perm=[0, 2, 3, 1]), g.ints([-1, 4]))
        shift, stretch = g.ops("Split", coded, outputs=2, axis=1, num_outputs=2)  # (A H W, 2): x, y
        centre, side = grid(g, scores.name, self.anchors, self.stride)
        middle = g.op("Add", g.op("Mul", shift, side), centre)
        half = g.op("Mul", g.op("Mul", g.op("Exp", stretch), side), g.const(0.5))
        numbers = g.op("Reshape", info.name, g.ints([-1]))
        edge = g.op("Sub", g.op("Gather", numbers, g.ints([1, 0]), axis=0), g.const(1))  # x, y
        first, last = (
            g.op("Max", g.op("Min", corner, edge), g.const(0))
            for corner in (g.op("Sub", middle, half), g.op("Add", middle, half))
        )
        boxes = g.op("Concat", first, last, axis=1)
        small = g.op("Less", g.op("Add", g.op("Sub", last, first), g.const(1)), self._least(g, info, numbers))
        small = g.op("ReduceMax", g.op("Cast", small, to=FLOAT), g.ints([1]), keepdims=0)
        worst = g.const(LOWEST if self.drops_small else 0)
        return boxes, g.op("Where", g.op("Greater", small, g.const(0.5)), worst, flat)

    def _least(self, g: GraphBuilder, info: Value, numbers: str) -> str:
        """The least sides x, y of a box. A scale of its own for the width only in C++, if it is given."""
        places = self._scale_places(info.shape)
        scales = g.op("Gather", numbers, g.ints(places), axis=0)
        return g.op("Mul", scales, g.const(self.min_size))

    def _scale_places(self, info: Shape) -> list[int]:
        return [2, 2] if self.drops_small or prod(info) == 3 else [3, 2]

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The forks' backward passes do nothing."""
        return Gradients((None,) * 3)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        shapes = self.out_shapes([b.shape for b in bottoms])
        boxes, scores = self._reference_candidates(*bottoms)
        stays = self._sure.reference(boxes, scores)
        regions, sure = np.zeros(shapes[0]), np.zeros(self.post_nms)
        regions[: len(stays), 1:], sure[: len(stays)] = stays[:, :4], stays[:, 4]
        return Referenced((regions, sure) if self.gives_scores else (regions,))

    def _reference_candidates(
        self, scores: Array, offsets: Array, info: Array
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        number = len(self.anchors)
        flat = scores[0, number:].transpose(1, 2, 0).reshape(-1)
        coded = offsets[0].transpose(1, 2, 0).reshape(-1, 4)
        centre, side = reference_grid(scores.shape[2:], self.anchors, self.stride)
        middle, half = centre + coded[:, :2] * side, np.exp(coded[:, 2:]) * side / 2
        numbers = info.reshape(-1)
        edge = numbers[[1, 0]] - 1
        first, last = (np.maximum(np.minimum(c, edge), 0) for c in (middle - half, middle + half))
        least = self.min_size * numbers[self._scale_places(info.shape)]
        small = (last - first + 1 < least).any(1)
        worst = LOWEST if self.drops_small else 0.0
        return np.concatenate([first, last], axis=1), np.where(small, worst, flat)

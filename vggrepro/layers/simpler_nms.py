"""SimplerNMS: the boxes that a region proposal network is sure of (Intel's layer; not from BVLC Caffe).

Source: intel/caffe of 2017, field ``simpler_nms_param``. Its defaults are those that the layer starts with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Array, exactly, register
from vggrepro.layers.proposal import Proposal
from vggrepro.layers.rules.anchors import cpp_anchors
from vggrepro.layers.rules.pooling_nodes import LOWEST
from vggrepro.layers.rules.sure_boxes import SureBoxes

RATIOS = (0.5, 1, 2)


@register
@dataclass(frozen=True)
class SimplerNMS(Proposal):
    """Proposal with one top, three aspect ratios and a stride of 16. Height, width and scale of the image
    lose their fractions, a box that is too small or has no probability above 0 is no candidate, and of equal
    ones the last anchor is the surest. ``cls_threshold`` and ``max_num_proposals`` say nothing, as in the
    fork.
    """

    type = "SimplerNMS"
    origin = "Intel"
    tops = exactly(1)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> SimplerNMS:
        p = param.simpler_nms_param
        if not p.scale or min(p.scale) <= 0:
            raise NetError("simpler_nms_param: needs scale, each above 0")
        if p.feat_stride != 16:
            raise NetError(
                "SimplerNMS layer currently doesn't support other feat_stride value than 16."
                f" (got {p.feat_stride})"
            )
        if p.pre_nms_topn < 1 or p.post_nms_topn < 1:
            raise UnsupportedError("simpler_nms_param: pre_nms_topn and post_nms_topn must be above 0")
        return cls(
            cpp_anchors(16, RATIOS, p.scale),
            p.feat_stride,
            p.min_bbox_size,
            p.pre_nms_topn,
            p.post_nms_topn,
            p.iou_threshold,
            drops_small=True,
        )

    @property
    def _sure(self) -> SureBoxes:
        return SureBoxes(self.nms_threshold, self.pre_nms, self.post_nms, pixels=True, last_first=True)

    def _candidates(self, g: GraphBuilder, bottoms: Sequence[Value]) -> tuple[str, str]:
        *maps, info = bottoms
        whole = Value(g.op("Floor", info.name), info.dims)
        boxes, scores = super()._candidates(g, [*maps, whole])
        likely = g.op("Greater", scores, g.const(0))
        return boxes, g.op("Where", likely, scores, g.const(LOWEST))

    def _reference_candidates(
        self, scores: Array, offsets: Array, info: Array
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        boxes, likely = super()._reference_candidates(scores, offsets, np.floor(info))
        return boxes, np.where(likely > 0, likely, LOWEST)

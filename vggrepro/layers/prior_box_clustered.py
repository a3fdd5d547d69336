"""PriorBoxClustered: default boxes of given widths and heights (OpenVINO's layer; not from BVLC Caffe).

Source: openvinotoolkit/training_toolbox_caffe, field ``prior_box_param`` with ``width`` and ``height``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.layers.base import register
from vggrepro.layers.prior_box import Box, PriorBox, clustered


@register
@dataclass(frozen=True)
class PriorBoxClustered(PriorBox):
    """As PriorBox, with a box of each ``width`` and ``height`` at each place, which are not rounded."""

    type = "PriorBoxClustered"
    origin = "OpenVINO"

    @classmethod
    def place(cls, p: Any) -> list[Box]:
        return clustered(p)

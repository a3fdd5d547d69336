"""PriorBoxClustered: default boxes of given widths and heights (OpenVINO's layer; not from BVLC Caffe).

Source: openvinotoolkit/training_toolbox_caffe, field ``prior_box_param`` with ``width`` and ``height``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.errors import NetError
from vggrepro.layers.base import register
from vggrepro.layers.prior_box import Box, PriorBox, pair, variances


@register
@dataclass(frozen=True)
class PriorBoxClustered(PriorBox):
    """As PriorBox, with a box of each width and height in ``extents`` at each place, which are not
    rounded."""

    type = "PriorBoxClustered"
    origin = "OpenVINO"

    extents: tuple[tuple[float, float], ...] = ()

    @classmethod
    def from_param(cls, param: Any, phase: int) -> PriorBoxClustered:
        p = param.prior_box_param
        if not p.width:
            raise NetError("must provide width.")
        if len(p.width) != len(p.height):
            raise NetError(
                f"Check failed: width_size() == height_size() ({len(p.width)} vs. {len(p.height)})"
            )
        if min(*p.width, *p.height) <= 0:
            raise NetError("width and height must be positive.")
        return cls(
            (),
            variances=variances(p),
            image=pair(p, "img_h", "img_w", "img_size"),
            step=pair(p, "step_h", "step_w", "step"),
            offset=p.offset,
            clip=p.clip,
            extents=tuple(zip(p.width, p.height, strict=True)),
        )

    def _boxes(self) -> list[Box]:
        return [Box(extent) for extent in self.extents]

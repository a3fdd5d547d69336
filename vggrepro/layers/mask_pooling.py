"""MaskPooling: all channels of a place multiplied by its mask (MNC's layer; not from BVLC Caffe).

Source: daijifeng001/caffe-mnc; without fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Shapes, register
from vggrepro.layers.channel_scale import ChannelScale


@register
@dataclass(frozen=True)
class MaskPooling(ChannelScale):
    """Bottoms: x (N, C, H, W) and masks (N, 1, H, W). Top: of x's shape."""

    type = "MaskPooling"
    origin = "MNC, SSTD"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MaskPooling:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        x, masks = bottoms
        if len(x) != 4 or masks != (x[0], 1, *x[2:]):
            raise ShapeError(
                "feature map height and mask height must be the same: expected (N, C, H, W) and (N, 1, H, W),"
                f" got shapes {x} and {masks}"
            )
        return (x,)

"""ConvolutionDepthwise, DepthwiseConvolution: a convolution of each channel by itself (layers of MobileNet
forks; not from BVLC Caffe).

Sources: farmingyard/MobileNet and chuanqi305/MobileNet-SSD for ConvolutionDepthwise, which looks at neither
``num_output`` nor ``group``; yonghenglh6/DepthwiseConvolution, and eric612/MobileNet-YOLO, for
DepthwiseConvolution, which is Caffe's Convolution with a kernel of its own on CUDA. Both have the field
``convolution_param``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Shapes, exactly, register
from vggrepro.layers.convolution import Convolution
from vggrepro.layers.rules.channel_layout import ChannelLayout
from vggrepro.layers.rules.window import Windows


class _Depthwise(Convolution):
    """Caffe's Convolution whose groups have one channel each, and one output."""

    def _checked(self, bottoms: Shapes) -> tuple[ChannelLayout, Windows]:
        channels = bottoms[0][1] if len(bottoms[0]) == 4 else None
        if not channels == self.num_output == self.group:
            raise ShapeError(
                f"{self.type}: bottom[0] must be (N, C, H, W) with C equal to num_output and group: shape"
                f" {tuple(bottoms[0])}, num_output {self.num_output}, group {self.group}"
            )
        return super()._checked(bottoms)


@register
@dataclass(frozen=True)
class ConvolutionDepthwise(_Depthwise):
    """Bottom (N, C, H, W), top (N, C, H', W'). Weight (C, 1, kernel...), bias (C).

    DEVIATION: the fork takes C for ``num_output`` whatever that says; here it must be right.
    """

    type = "ConvolutionDepthwise"
    origin = "MobileNet forks"
    bottoms = exactly(1)
    tops = exactly(1)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ConvolutionDepthwise:
        layer = super().from_param(param, phase)
        return replace(layer, group=layer.num_output)


@register
@dataclass(frozen=True)
class DepthwiseConvolution(_Depthwise):
    """Bottoms (N, C, H, W), tops (N, C, H', W'). Weight (C, 1, kernel...), bias (C).

    Where ``group`` and ``num_output`` are not both C, the fork's layer computes one thing on the CPU and
    another on CUDA, and here it is refused.
    """

    type = "DepthwiseConvolution"
    origin = "MobileNet forks"

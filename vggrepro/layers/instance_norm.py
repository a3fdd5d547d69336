"""InstanceNorm: each channel of each image brought to mean 0 and variance 1 (a fork's layer; not from BVLC
Caffe).

Source: a public ``instance_norm_layer.cpp`` without fields. "Instance Normalization: The Missing Ingredient
for Fast Stylization".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import ShapeError
from vggrepro.layers.base import register
from vggrepro.layers.rules.groupwise_norm import GroupwiseNorm


@register
@dataclass(frozen=True)
class InstanceNorm(GroupwiseNorm):
    """Bottom (N, C, H, W); eps is 1e-4."""

    type = "InstanceNorm"
    origin = "style transfer forks"

    eps: float = 1e-4

    @classmethod
    def from_param(cls, param: Any, phase: int) -> InstanceNorm:
        return cls()

    def pieces(self, bottom: Shape) -> int:
        if len(bottom) != 4:
            raise ShapeError(f"InstanceNorm: bottom[0] must be (N, C, H, W), got shape {bottom}")
        return bottom[1]

"""LayerNorm: each image brought to mean 0 and variance 1 (a layer of several forks; not from BVLC Caffe).

Sources: two public ``layer_norm_layer.cpp`` with ``layer_norm_param``, of which one scales and shifts each
element. "Layer Normalization", section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import register
from vggrepro.layers.rules.groupwise_norm import GroupwiseNorm


@register
@dataclass(frozen=True)
class LayerNorm(GroupwiseNorm):
    """Bottom (N, ...). With ``elementwise_affine`` there are two blobs of the shape of one image, scale and
    shift. Forks differ in what they do where ``eps`` or ``elementwise_affine`` is missing, so both must be
    given."""

    type = "LayerNorm"
    origin = "LayerNorm forks"
    by_element = True

    eps: float
    scales: bool

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LayerNorm:
        p = param.layer_norm_param
        if not (p.HasField("eps") and p.HasField("elementwise_affine")):
            raise UnsupportedError(
                "layer_norm_param: forks differ in the defaults: eps and elementwise_affine must be given"
            )
        return cls(p.eps, p.elementwise_affine)

    def pieces(self, bottom: Shape) -> int:
        if len(bottom) < 2:
            raise ShapeError(f"LayerNorm: bottom[0] must be (N, ...), got shape {bottom}")
        return 1

    def affine_shape(self, bottom: Shape) -> Shape | None:
        return bottom[1:] if self.scales else None

"""LargeMarginInnerProduct: products in which the right class's angle counts several times (L-Softmax's layer;
not from BVLC Caffe).

Source: wy1iu/LargeMargin_Softmax_Loss, field ``largemargin_inner_product_param``. "Large-Margin Softmax Loss
for Convolutional Neural Networks", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, exactly, register
from vggrepro.layers.rules.margin_product import Folded, MarginProduct, Turn


@register
@dataclass(frozen=True)
class LargeMarginInnerProduct(MarginProduct):
    """The weight is as it is learned, and the gradient is calculus. An input or a row of zeros gives no
    number for its label, as in the fork's CUDA code.

    A layer of this name with three bottoms, in another fork, is refused.
    """

    type = "LargeMarginInnerProduct"
    origin = "L-Softmax"
    tops = exactly(2)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LargeMarginInnerProduct:
        return cls.read(param.largemargin_inner_product_param, len(param.top))

    def emit_weight(self, g: GraphBuilder, weight: str) -> str:
        return weight

    def exact_weight(self, weight: Array) -> Array:
        return weight

    def own_lengths(self, g: GraphBuilder, weight: str, labels: str) -> str | None:
        lengths = g.op("Sqrt", g.op("ReduceSumSquare", weight, g.ints([1]), keepdims=0))
        return g.op("Gather", lengths, labels)

    def turn(self, g: GraphBuilder, psi: Folded, labels: str, length: str, own: str | None) -> Turn:
        assert own is not None
        ratio = g.op("Div", own, length)
        return Turn(labels, psi.slope, g.op("Mul", psi.rest, ratio), g.op("Div", psi.rest, ratio))

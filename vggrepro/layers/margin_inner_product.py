"""MarginInnerProduct: products with weights of length 1, in which the right class's angle counts several
times (SphereFace's layer; not from BVLC Caffe).

Source: wy1iu/sphereface, field ``margin_inner_product_param``. "SphereFace: Deep Hypersphere Embedding for
Face Recognition", section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, Count, register
from vggrepro.layers.rules.margin_product import Folded, MarginProduct, Turn
from vggrepro.layers.rules.unit_rows import emit_unit_rows, unit_rows


@register
@dataclass(frozen=True)
class MarginInnerProduct(MarginProduct):
    """The rows of the weight are divided by their lengths first; in TRAIN these rows of length 1 replace the
    weight's own before the solver moves them.

    The gradient is the layer's own: the margin's part is brought to length 1, by ``sqrt(cw^2 + cx^2)`` of its
    factors cw of the weight and cx of the input, and the weight's gradient is that of the plain product.
    """

    type = "MarginInnerProduct"
    origin = "SphereFace"
    tops = Count(1, 2)

    train: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MarginInnerProduct:
        return cls.read(param.margin_inner_product_param, len(param.top), train=phase == TRAIN)

    @property
    def moved(self) -> bool:
        return self.train

    def emit_weight(self, g: GraphBuilder, weight: str) -> str:
        return emit_unit_rows(g, weight, 0)

    def exact_weight(self, weight: Array) -> Array:
        return unit_rows(weight, 0)

    def own_lengths(self, g: GraphBuilder, weight: str, labels: str) -> str | None:
        return None

    def turn(self, g: GraphBuilder, psi: Folded, labels: str, length: str, own: str | None) -> Turn:
        toward_x = g.op("Div", psi.rest, length)
        size = g.op("Sqrt", g.op("Add", *(g.op("Mul", c, c) for c in (psi.slope, toward_x))))
        return Turn(labels, g.op("Div", psi.slope, size), g.op("Div", toward_x, size), "")

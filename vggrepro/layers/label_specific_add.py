"""LabelSpecificAdd: the scores of the right classes, lowered (AMSoftmax's layer; not from BVLC Caffe).

Source: happynear/caffe-windows, field ``label_specific_add_param``. "Additive Margin Softmax for Face
Verification", section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.label_margin import Amount, LabelMargin
from vggrepro.layers.rules.pass_schedule import PassSchedule


@register
@dataclass(frozen=True)
class LabelSpecificAdd(LabelMargin):
    """In TRAIN ``bias`` is added to the score of each instance's label where that is above ``-bias``. With
    ``bias_base`` the bias is ``bias_base + (1 + bias_gamma * n) ** bias_power - 1`` in pass n, within
    ``bias_min`` and ``bias_max``. In TEST scores stay as they are, and the second top is 0.

    The gradient passes as it is. A positive ``bias`` is refused: a layer of this name in intel/caffe takes it
    for a negative one.
    """

    type = "LabelSpecificAdd"
    origin = "happynear"
    in_place = True

    bias: Amount = 0.0
    train: bool = True
    gives_amount: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LabelSpecificAdd:
        p = param.label_specific_add_param
        second = len(param.top) > 1
        if p.HasField("bias_base"):
            bias: Amount = PassSchedule(
                p.iteration, 1, p.bias_gamma, p.bias_power, p.bias_base - 1, p.bias_min, p.bias_max
            )
        elif p.bias > 0:
            raise UnsupportedError(
                f"label_specific_add_param: bias {p.bias:g}: forks differ in what a positive one does"
            )
        else:
            bias = p.bias
        return cls(bias, True, second) if phase == TRAIN else cls(0.0, False, second)

    @property
    def amount(self) -> Amount:
        return self.bias

    @property
    def acts(self) -> bool:
        return self.train

    def change(self, g: GraphBuilder, own: str, amount: str) -> tuple[str, str | None]:
        above = g.op("Greater", own, g.op("Neg", amount))
        return g.op("Where", above, g.op("Add", own, amount), own), None

    def exact_change(self, own: Array, amount: float) -> Array:
        return np.where(own > -amount, own + amount, own)

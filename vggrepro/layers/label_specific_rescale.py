"""LabelSpecificRescale: the scores of the right classes, multiplied (NormFace's layer; not from BVLC Caffe).

Source: happynear/caffe-windows, field ``label_specific_rescale_param``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.label_margin import Amount, LabelMargin
from vggrepro.layers.rules.pass_schedule import PassSchedule


@register
@dataclass(frozen=True)
class LabelSpecificRescale(LabelMargin):
    """In TRAIN, and with ``rescale_test`` in TEST, the score of each instance's label is multiplied by
    ``positive_weight`` w, and all others by ``negative_weight``. With ``bias_fix`` 1 - w is added; with
    ``power_on_positive`` a score x becomes ``sign(x) |x|^w`` instead; with ``for_ip`` only positive scores of
    labels change. In TRAIN ``positive_weight_base`` makes w ``base * (1 + gamma * n) ** -power`` in pass n,
    counted from ``iteration + 1``, within ``positive_weight_min`` and ``positive_weight_max`` where they are
    set. The fork reads ``positive_lower_bound`` and ``negative_upper_bound``, and does nothing with them.
    """

    type = "LabelSpecificRescale"
    origin = "happynear"

    positive: Amount = 1.0
    negative: float = 1.0
    rescales: bool = True
    only_positive: bool = False
    as_power: bool = False
    keeps_one: bool = False
    """``bias_fix``: a score of 1 stays 1."""
    gives_amount: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LabelSpecificRescale:
        p = param.label_specific_rescale_param
        weight: Amount = p.positive_weight
        if p.HasField("positive_weight_base") and phase == TRAIN:
            weight = PassSchedule(
                p.iteration + 1,
                p.positive_weight_base,
                p.gamma,
                -p.power,
                least=p.positive_weight_min if p.HasField("positive_weight_min") else -inf,
                most=p.positive_weight_max if p.HasField("positive_weight_max") else inf,
            )
        acts = phase == TRAIN or p.rescale_test
        fixed = p.bias_fix and not p.power_on_positive
        return cls(weight, p.negative_weight, acts, p.for_ip, p.power_on_positive, fixed, len(param.top) > 1)

    @property
    def in_place(self) -> bool:
        """Where a sign or a power of the bottom is needed later, Caffe finds the top there."""
        return not (self.only_positive or self.as_power)

    @property
    def amount(self) -> Amount:
        return self.positive

    @property
    def acts(self) -> bool:
        return self.rescales

    @property
    def others(self) -> float:
        return self.negative

    def change(self, g: GraphBuilder, own: str, amount: str) -> tuple[str, str | None]:
        slope = amount
        if self.as_power:
            size = g.op("Abs", own)
            new = g.op("Mul", g.op("Sign", own), g.op("Pow", size, amount))
            slope = g.op("Mul", amount, g.op("Pow", size, g.op("Sub", amount, g.const(1))))
        else:
            new = g.op("Mul", own, amount)
            if self.keeps_one:
                new = g.op("Add", new, g.op("Sub", g.const(1), amount))
        if self.only_positive:
            positive = g.op("Greater", own, g.const(0))
            new, slope = g.op("Where", positive, new, own), g.op("Where", positive, slope, g.const(1))
        return new, slope

    def exact_change(self, own: Array, amount: float) -> Array:
        new = np.sign(own) * np.abs(own) ** amount if self.as_power else own * amount
        if self.keeps_one:
            new = new + 1 - amount
        return np.where(own > 0, new, own) if self.only_positive else new

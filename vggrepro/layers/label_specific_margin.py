"""LabelSpecificMargin: the angles of the right classes, widened by a margin in degrees (happynear's layer;
not from BVLC Caffe).

Source: happynear/caffe-windows, field ``label_specific_margin_param``; the rules are those of its CUDA code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, pi
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TRAIN, FillerParameter
from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Array, ParamDef, Shapes, register
from vggrepro.layers.rules.label_margin import LabelMargin
from vggrepro.layers.rules.pass_schedule import PassSchedule

LARGEST = 1 - 1e-4
"""Cosines are kept this near to 0."""
STEEPEST = 2.0
"""The largest slope; the smallest is 0."""


@register
@dataclass(frozen=True)
class LabelSpecificMargin(LabelMargin):
    """In TRAIN the cosine of each instance's label becomes that of an angle larger by the margin, in degrees.
    With a margin of 0, and in TEST, scores stay as they are.

    The margin is a blob (1) that no solver moves. With ``margin_base`` it is ``margin_base + (1 + gamma * n)
    ** power - 1`` in pass n of TRAIN; ``margin_max`` bounds it where that is set. The slope is the fork's:
    ``cos(margin) - x / sqrt(1 - x^2) * sin(margin)``, whose minus is no calculus, kept between 0 and 2.
    """

    type = "LabelSpecificMargin"
    origin = "happynear"

    base: float = 0.0
    schedule: PassSchedule | None = None
    most: float = inf
    train: bool = True
    gives_amount: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> LabelSpecificMargin:
        p = param.label_specific_margin_param
        if p.type != p.HARD or p.auto_tune or p.reset_margin:
            raise UnsupportedError(
                "label_specific_margin_param: type SOFT, auto_tune and reset_margin are not implemented"
            )
        train = phase == TRAIN
        most = p.margin_max if p.HasField("margin_max") and train else inf
        schedule = None
        if p.HasField("margin_base") and train:
            schedule = PassSchedule(p.iteration, 1, p.gamma, p.power, p.margin_base - 1, most=most)
        return cls(p.margin_base, schedule, most, train, len(param.top) > 1)

    @classmethod
    def set_up(cls, definition: Any) -> None:
        """The margin gets a learning rate of 0."""
        if not definition.param:
            definition.param.add(lr_mult=0, decay_mult=0)

    @property
    def amount(self) -> float | PassSchedule:
        return self.schedule or self.base

    @property
    def acts(self) -> bool:
        return self.train

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return (ParamDef((1,), FillerParameter(type="constant", value=self.base), statistic=True),)

    @property
    def keeps_amount(self) -> bool:
        return self.schedule is not None or self.most < inf

    def emit_amount(self, g: GraphBuilder, params: Sequence[Value], states: Sequence[Value]) -> str:
        if self.schedule is not None:
            return self.schedule.emit(g, states[0].name)
        blob = g.op("Squeeze", params[0].name, g.ints([0]))
        return g.op("Min", blob, g.const(self.most)) if self.most < inf else blob

    def exact_amount(self, params: Sequence[Array], states: Sequence[npt.NDArray[Any]]) -> float:
        return min(float(params[0][0]), self.most) if self.schedule is None else self.schedule.at(states[0])

    def change(self, g: GraphBuilder, own: str, amount: str) -> tuple[str, str | None]:
        radians = g.op("Mul", amount, g.const(pi / 180))
        cosine, sine = g.op("Cos", radians), g.op("Sin", radians)
        x = g.op("Clip", own, g.const(-LARGEST), g.const(LARGEST))
        height = g.op("Sqrt", g.op("Sub", g.const(1), g.op("Mul", x, x)))
        new = g.op("Sub", g.op("Mul", x, cosine), g.op("Mul", height, sine))
        slope = g.op("Sub", cosine, g.op("Mul", g.op("Div", x, height), sine))
        slope = g.op("Clip", slope, g.const(0), g.const(STEEPEST))
        changes = g.op("Not", g.op("Equal", amount, g.const(0)))
        return g.op("Where", changes, new, own), g.op("Where", changes, slope, g.const(1))

    def exact_change(self, own: Array, amount: float) -> Array:
        if amount == 0:
            return own
        angle = np.arccos(own.clip(-LARGEST, LARGEST))
        return np.asarray(np.cos(angle + amount * pi / 180))

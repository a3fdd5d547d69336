"""A margin that is added to the angle of each instance's own class, as ArcFace does."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from typing import ClassVar

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array, exactly
from vggrepro.layers.rules.label_margin import LabelMargin

LEAST_SINE = 1e-6
"""Up to here an angle counts as 0 or pi, and the slope is 1."""


@dataclass(frozen=True)
class AngularMargin(LabelMargin):
    """A cosine x becomes ``cos(acos(x) + margin)``, or ``x - margin * sin(margin)`` where that angle would be
    beyond pi. Cosines beyond 1 and -1 count as these."""

    tops = exactly(1)
    shifts_one: ClassVar[bool] = False
    """Whether an angle of 0 counts as one beyond pi."""

    margin: float
    widens: bool = True
    gives_amount = False

    @property
    def amount(self) -> float:
        return self.margin

    @property
    def acts(self) -> bool:
        return self.widens

    def change(self, g: GraphBuilder, own: str, amount: str) -> tuple[str, str | None]:
        x = g.op("Clip", own, g.const(-1), g.const(1))
        sine = g.op("Sqrt", g.op("Sub", g.const(1), g.op("Mul", x, x)))
        wide = g.op(
            "Sub", g.op("Mul", x, g.const(cos(self.margin))), g.op("Mul", sine, g.const(sin(self.margin)))
        )
        within = g.op("GreaterOrEqual", x, g.const(cos(pi - self.margin)))
        curved = g.op("And", within, g.op("Greater", sine, g.const(LEAST_SINE)))
        shifted = g.op("Sub", x, g.const(self.margin * sin(self.margin)))
        ratio = g.op("Div", x, g.op("Max", sine, g.const(LEAST_SINE)))
        steep = g.op("Add", g.op("Mul", ratio, g.const(sin(self.margin))), g.const(cos(self.margin)))
        new = g.op("Where", curved if self.shifts_one else within, wide, shifted)
        return new, g.op("Where", curved, steep, g.const(1))

    def exact_change(self, own: Array, amount: float) -> Array:
        x = own.clip(-1, 1)
        angle = np.arccos(x)
        within = x >= cos(pi - amount)
        if self.shifts_one:
            within &= np.sin(angle) > LEAST_SINE
        return np.where(within, np.cos(angle + amount), x - amount * sin(amount))

"""Numbers that layers change from pass to pass by a formula, as solvers do their learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.layers.base import StateDef


@dataclass(frozen=True)
class PassSchedule:
    """``scale * (1 + gamma * n) ** power + shift``, but at least ``least`` and at most ``most``.

    n is ``first`` in the first pass and grows by 1 with each. The state ``passes``, int64 (), counts them. As
    the layers' own counters, it begins anew when a training resumes.
    """

    first: int = 0
    scale: float = 1.0
    gamma: float = 0.0
    power: float = 1.0
    shift: float = 0.0
    least: float = -inf
    most: float = inf

    def state_def(self) -> StateDef:
        return StateDef("passes", np.zeros((), np.int64))

    def emit(self, g: GraphBuilder, passes: str) -> str:
        """The number in this pass, float32 ()."""
        n = g.op("Cast", g.op("Add", passes, g.ints(self.first)), to=FLOAT)
        grown = g.op("Add", g.op("Mul", n, g.const(self.gamma)), g.const(1))
        value = g.op("Mul", g.op("Pow", grown, g.const(self.power)), g.const(self.scale))
        value = g.op("Add", value, g.const(self.shift))
        if self.least > -inf:
            value = g.op("Max", value, g.const(self.least))
        return g.op("Min", value, g.const(self.most)) if self.most < inf else value

    def following(self, g: GraphBuilder, passes: str) -> str:
        """The state after this pass."""
        return g.op("Add", passes, g.ints(1))

    def at(self, passes: npt.NDArray[Any]) -> float:
        """The same number in float64."""
        grown = float((1 + self.gamma * (self.first + int(passes))) ** self.power)
        return min(max(self.scale * grown + self.shift, self.least), self.most)

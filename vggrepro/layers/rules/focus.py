"""How much a loss counts that should be about what is not right yet: as nodes and in NumPy.

"Focal Loss for Dense Object Detection", section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.base import Array

LEAST_REST = 1e-10
"""What 1 - p is at least where it divides."""


@dataclass(frozen=True)
class Focus:
    """The cross entropy of a label of probability p counts ``alpha (1 - p)^gamma`` times, or, where it
    ``adds``, ``alpha (1 + p)^gamma`` times. Raises NetError for numbers with which it would not be finite."""

    alpha: float
    gamma: float = 2.0
    adds: bool = False

    def __post_init__(self) -> None:
        if self.gamma < 0 or self.alpha <= 0:
            raise NetError(
                f"gamma must be at least 0 and alpha above 0, got {self.gamma:g} and {self.alpha:g}"
            )

    def emit(self, g: GraphBuilder, right: str, losses: str) -> tuple[str, str]:
        """Of probabilities and their cross entropies: these as they count, and what multiplies the cross
        entropies' derivative."""
        rest = g.op("Add" if self.adds else "Sub", g.const(1), right)
        weight = g.op("Mul", g.op("Pow", rest, g.const(self.gamma)), g.const(self.alpha))
        share = g.op("Mul", g.op("Mul", right, losses), g.const(-self.gamma if self.adds else self.gamma))
        slope = g.op("Div", g.op("Mul", weight, share), g.op("Max", rest, g.const(LEAST_REST)))
        return g.op("Mul", weight, losses), g.op("Add", weight, slope)

    def reference(self, right: Array, losses: Array) -> Array:
        """The losses as they count, in NumPy."""
        counted: Array = self.alpha * (1 + (right if self.adds else -right)) ** self.gamma * losses
        return counted

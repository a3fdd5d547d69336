"""``bbox_reg_param``: the mean and the standard deviation of what nets predict of boxes (MS-CNN's field)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.base import Array


@dataclass(frozen=True)
class BoxStatistics:
    """Mean and standard deviation of what is coded of boxes: x, y, width and height."""

    mean: tuple[float, ...] = (0, 0, 0, 0)
    deviation: tuple[float, ...] = (1, 1, 1, 1)

    @classmethod
    def from_param(cls, param: Any) -> BoxStatistics:
        """Those of a ``LayerParameter``; both of ``bbox_mean`` and ``bbox_std``, or none, count."""
        p = param.bbox_reg_param
        if not p.bbox_mean or not p.bbox_std:
            return cls()
        if len(p.bbox_mean) != 4 or len(p.bbox_std) != 4 or min(p.bbox_std) <= 0:
            raise NetError("bbox_reg_param: needs four bbox_mean, and four bbox_std above 0")
        return cls(tuple(p.bbox_mean), tuple(p.bbox_std))

    def emit(self, g: GraphBuilder, coded: str) -> str:
        """Predictions (..., 4) times the deviation plus the mean."""
        if self == BoxStatistics():
            return coded
        return g.op("Add", g.op("Mul", coded, g.const(self.deviation)), g.const(self.mean))

    def reference(self, coded: Array) -> Array:
        """The same in NumPy."""
        scaled: Array = coded * np.array(self.deviation) + np.array(self.mean)
        return scaled

    def emit_coded(self, g: GraphBuilder, targets: str) -> str:
        """What a net should predict (..., 4): targets less the mean, over the deviation."""
        if self == BoxStatistics():
            return targets
        return g.op("Div", g.op("Sub", targets, g.const(self.mean)), g.const(self.deviation))

    def coded(self, targets: Array) -> Array:
        """The same in NumPy."""
        scaled: Array = (targets - np.array(self.mean)) / np.array(self.deviation)
        return scaled

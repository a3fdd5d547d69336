"""What the accuracy layers of detectors say: averages over what counts, or -1 where nothing does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, GraphBuilder
from vggrepro.layers.base import Array


def emit_average(g: GraphBuilder, values: str, counts: str) -> str:
    """The average, float32 (1), of float32 values where the flags of the same shape are true."""
    marks = g.op("Cast", counts, to=FLOAT)
    number = g.op("ReduceSum", marks, keepdims=0)
    total = g.op("ReduceSum", g.op("Where", counts, values, g.const(0)), keepdims=0)
    average = g.op("Div", total, g.op("Max", number, g.const(1)))
    found = g.op("Where", g.op("Greater", number, g.const(0)), average, g.const(-1))
    return g.op("Reshape", found, g.ints([1]))


def average(values: Array, counts: npt.NDArray[np.bool_]) -> float:
    """The same in NumPy."""
    return float(values[counts].mean()) if counts.any() else -1.0

"""Rows of a learned matrix brought to length 1, as face recognition's last layers do before each product.

The forks write the rows of length 1 over the learned ones, and the solver goes on from these.
"""

from __future__ import annotations

import numpy as np

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array

HAPPYNEAR_EPSILON = 1e-6
"""What happynear's layers add to a row's squared length."""


def emit_unit_rows(g: GraphBuilder, rows: str, epsilon: float) -> str:
    """The rows of a matrix (N, K), divided by ``sqrt(sum(row^2) + epsilon)``."""
    squared = g.op("ReduceSumSquare", rows, g.ints([1]))
    if epsilon:
        squared = g.op("Add", squared, g.const(epsilon))
    return g.op("Div", rows, g.op("Sqrt", squared))


def unit_rows(rows: Array, epsilon: float) -> Array:
    """The same in float64."""
    return np.asarray(rows / np.sqrt((rows**2).sum(1, keepdims=True) + epsilon))

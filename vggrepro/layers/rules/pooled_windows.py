"""What a pooling makes of one window of each plane, in NumPy: for reference rules."""

from __future__ import annotations

import numpy as np

from vggrepro.layers.base import Array
from vggrepro.layers.rules.pooling_nodes import LOWEST
from vggrepro.layers.rules.window import Span


def pooled(method: str, window: Array, counted: int) -> Array:
    """The value (N, C) of a window (N, C, rows, columns). ``method`` is MAX, AVE or STOCHASTIC, which stands
    for what a draw gives on average. ``counted`` is the number of elements that AVE divides by."""
    if method == "MAX":
        return np.asarray(window.max((2, 3), initial=LOWEST))
    sums = window.sum((2, 3))
    if method == "AVE":
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / np.float64(counted))
    squares = np.square(window).sum((2, 3))
    return np.asarray(np.divide(squares, sums, out=np.zeros_like(sums), where=sums > 0))


def first_index(window: Array, row: Span, column: Span, width: int) -> Array:
    """Caffe's mask of a window, (N, C): the index of the first maximum in a plane of ``width`` columns, -1
    where there is none."""
    n, c, _, columns = window.shape
    if window.size == 0:
        return np.full((n, c), -1.0)
    flat = window.reshape(n, c, -1)
    down, right = np.divmod(flat.argmax(2), columns)
    index = (row.begin + down) * width + column.begin + right
    return np.where(flat.max(2) > LOWEST, index, -1)

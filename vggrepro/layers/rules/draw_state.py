"""The state of layers that draw: int64 (2,), a seed and the number of the batch's first sample, which the
caller may set before a call."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import StateDef


def draw_state() -> StateDef:
    """The state, called ``random``, before the first call."""
    return StateDef("random", np.zeros(2, np.int64), random=True)


def emit_next_state(g: GraphBuilder, state: str) -> str:
    """The state of the next call: the seed grows by one."""
    return g.op("Add", state, g.ints([1, 0]))


def next_state(state: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same in NumPy."""
    following: npt.NDArray[Any] = state + np.array([1, 0])
    return following

"""Focus: its numbers, by the paper's formula, and its derivative, by differences."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.rules.focus import Focus

RIGHT = np.array([0.01, 0.3, 0.5, 0.9, 0.999])


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("adds", [False, True])
def test_by_formula(gamma: float, adds: bool) -> None:
    def counted(right: np.ndarray) -> np.ndarray:
        return np.asarray(-0.3 * (1 + right if adds else 1 - right) ** gamma * np.log(right))

    focus, losses = Focus(0.3, gamma, adds), -np.log(RIGHT)
    np.testing.assert_allclose(focus.reference(RIGHT, losses), counted(RIGHT))
    g = GraphBuilder()
    feeds = {"right": np.float32(RIGHT), "losses": np.float32(losses)}
    values, steepness = run_nodes(g, feeds, list(focus.emit(g, "right", "losses")))
    np.testing.assert_allclose(values, counted(RIGHT), rtol=2e-4)
    step = 1e-6 * RIGHT
    slope = (counted(RIGHT + step) - counted(RIGHT - step)) / (2 * step)
    np.testing.assert_allclose(steepness, -slope * RIGHT, rtol=2e-4)


def test_refuses() -> None:
    for alpha, gamma in ((0, 2), (1, -1)):
        with pytest.raises(NetError, match="gamma must be at least 0 and alpha above 0"):
            Focus(alpha, gamma)

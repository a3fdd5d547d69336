"""Averages over what counts."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.found_shares import average, emit_average


def test_average() -> None:
    values = np.float32([[1, np.inf, 3], [5, 0, np.nan]])
    for counts, expected in (
        ([[True, False, True], [True, False, False]], 3),
        ([[False] * 3] * 2, -1),
        ([[False] * 3, [False, True, False]], 0),
    ):
        flags = np.array(counts)
        g = GraphBuilder("cpu")
        (found,) = run_nodes(g, {"v": values, "c": flags}, [emit_average(g, "v", "c")])
        assert found.tolist() == [expected] == [average(values.astype(float), flags)]

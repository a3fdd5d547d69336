"""TextBoxes++'s corners: as nodes, in NumPy, and by hand."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_code import split_pairs
from vggrepro.layers.rules.quadrilaterals import emit_quadrilaterals, quadrilaterals

PRIOR = np.array([1.0, 2.0, 3.0, 6.0])  # 2 wide, 4 high
VARIANCES = np.array([0.5, 0.25, 7, 7])  # the last two do not count


def test_quadrilaterals() -> None:
    coded = np.array([0, 0, 1, 1, -1, 2, 3, 0.5])
    corners = [1, 2, 4, 3, 2, 8, 4, 6.5]  # moved by 1 times the numbers
    np.testing.assert_allclose(quadrilaterals(coded, PRIOR, VARIANCES), corners)
    g = GraphBuilder()
    feeds = {name: np.float32([value]) for name, value in (("c", coded), ("p", PRIOR), ("v", VARIANCES))}
    (value,) = run_nodes(g, feeds, [emit_quadrilaterals(g, "c", split_pairs(g, "p"), "v")])
    np.testing.assert_allclose(value[0], corners, rtol=1e-6)

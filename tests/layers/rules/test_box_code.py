"""SSD's codes of boxes: as nodes, in NumPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_code import decoded, emit_decoded, join_pairs, overlap, split_pairs

PRIOR = np.array([1.0, 2.0, 3.0, 6.0])  # 2 wide, 4 high, centre (2, 4)


@pytest.mark.parametrize(
    ("code", "coded", "box"),
    [
        ("CORNER", [0.5, 0, 1, -1], [1.5, 2, 4, 5]),
        ("CORNER_SIZE", [0.5, 0, 1, -0.5], [2, 2, 5, 4]),
        ("CENTER_SIZE", [0.5, 0.25, np.log(2), 0], [1, 3, 5, 7]),
    ],
)
def test_decoded(code: str, coded: list[float], box: list[float]) -> None:
    np.testing.assert_allclose(decoded(code, np.array(coded), PRIOR), box)
    g = GraphBuilder()
    pairs = emit_decoded(g, code, split_pairs(g, "coded"), split_pairs(g, "prior"))
    feeds = {"coded": np.float32([coded]), "prior": np.float32([PRIOR])}
    (value,) = run_nodes(g, feeds, [join_pairs(g, pairs)])
    np.testing.assert_allclose(value[0], box, rtol=1e-6)


def test_overlap() -> None:
    square = np.array([0.0, 0, 2, 2])
    assert overlap(square, square) == 1
    assert overlap(square, np.array([1.0, 0, 3, 2])) == pytest.approx(2 / 6)
    assert overlap(square, np.array([2.0, 0, 3, 2])) == 0
    assert overlap(square, np.array([1.0, 1, 0, 2])) == 0

"""Labels among blanks."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.label_sequences import decoded, emit_compacted, without_blanks


def test_what_stays_comes_first() -> None:
    values = np.array([[5, 6, 7], [1, 2, 3], [4, 4, 4]], np.float32)
    stays = np.array([[True, False, True], [False] * 3, [True] * 3])
    g = GraphBuilder()
    got, number = run_nodes(g, {"v": values, "s": stays}, list(emit_compacted(g, "v", "s", 4, -1)))
    assert got.tolist() == [[5, 7, -1, -1], [-1] * 4, [4, 4, 4, -1]]
    assert number.tolist() == [[2], [0], [3]]


@pytest.mark.parametrize(
    ("best", "blank", "labels"),
    [([1, 1, 0, 1, 2, 2], 0, [1, 1, 2]), ([0, 0], 0, []), ([0, 0], 1, [0]), ([3, 1, 3], 1, [3, 3])],
)
def test_decoded(best: list[int], blank: int, labels: list[int]) -> None:
    assert decoded(best, blank) == labels


def test_without_blanks() -> None:
    assert without_blanks([1.0, 2.5, 1.0, 0.0], 1) == [2, 0]

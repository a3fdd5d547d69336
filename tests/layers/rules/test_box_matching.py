"""Matching of priors and boxes: nodes against NumPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.box_matching import emit_matches, matches


def emitted(overlaps: np.ndarray, threshold: float | None) -> list[np.ndarray]:
    g = GraphBuilder()
    g.reserve("overlaps")
    found = emit_matches(g, Value("overlaps", overlaps.shape), threshold)
    return run_nodes(g, {"overlaps": overlaps}, list(found))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 8), st.sampled_from([None, 0.3, 0.6]), st.integers(0)
)
def test_rounds_match_as_one_pair_after_the_other(
    images: int, boxes: int, number: int, threshold: float | None, seed: int
) -> None:
    """With many equal overlaps, and many that are 0."""
    rng = np.random.default_rng(seed)
    overlaps = (rng.integers(0, 5, (images, boxes, number)) / 5).astype(np.float32)
    place, best = emitted(overlaps, threshold)
    np.testing.assert_array_equal(place, [matches(np.asarray(o, np.float64), threshold) for o in overlaps])
    np.testing.assert_array_equal(best, overlaps.max(1))


@pytest.mark.parametrize(
    ("overlaps", "threshold", "places"),
    [
        ([[0.5, 0.4], [0.6, 0.1]], None, [1, 0]),  # the second box takes the prior that the first one likes
        ([[0.5, 0.5]], None, [0, -1]),
        ([[0.5, 0.5]], 0.5, [0, 0]),
        ([[0.5, 0.4]], 0.5, [0, -1]),
        ([[0.3, 0, 0], [0.2, 0, 0]], 0.1, [0, -1, -1]),  # the second box gets none
        ([[0, 0]], 0.5, [-1, -1]),
    ],
)
def test_by_hand(overlaps: list[list[float]], threshold: float | None, places: list[int]) -> None:
    table = np.array(overlaps, np.float32)
    assert emitted(table[None], threshold)[0].tolist() == [places]
    assert matches(np.asarray(table, np.float64), threshold).tolist() == places

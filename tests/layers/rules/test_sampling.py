"""Samples without replacement: as nodes and in NumPy, evenly, anew, and by the number asked for."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.draw_state import emit_next_state
from vggrepro.layers.rules.sampling import (
    GROUP,
    Sampling,
    chosen,
    emit_any,
    emit_chosen,
    emit_highest,
    emit_number,
    highest,
)

SAMPLING = Sampling.named("layer")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(-1, 45), st.booleans(), st.integers(0, 10**6))
def test_nodes_and_numpy_agree(samples: int, elements: int, most: int, free: bool, seed: int) -> None:
    flags = np.random.default_rng(seed).random((samples, elements)) < 0.6
    state = np.array([seed, 3])
    g = GraphBuilder("cpu")
    like = Value("flags", (samples, None if free else elements))
    keys = SAMPLING.emit_keys(g, like, "state")
    names = [
        keys,
        emit_chosen(g, "flags", keys, g.ints([[most]])),
        emit_number(g, "flags"),
        emit_any(g, "flags", 1),
        emit_next_state(g, "state"),
    ]
    found = run_nodes(g, {"flags": flags, "state": state}, names)
    expected = SAMPLING.draw_keys(samples, elements, state)
    np.testing.assert_array_equal(found[0], expected)
    assert len(np.unique(expected)) == samples * elements and expected.min() >= 0 and expected.max() < GROUP
    np.testing.assert_array_equal(
        found[1], [chosen(f, k, most) for f, k in zip(flags, expected, strict=True)]
    )
    assert (found[1].sum(1) == np.minimum(flags.sum(1), max(most, 0))).all() and not (found[1] & ~flags).any()
    assert found[2].tolist() == flags.sum(1, keepdims=True).tolist()
    assert found[3].tolist() == flags.any(1).tolist()
    assert found[4].tolist() == [seed + 1, 3]


def test_every_candidate_is_drawn_as_often() -> None:
    """3 of 12 in 2000 draws: each 500 times, within four standard deviations."""
    flags = np.arange(20) < 12
    counts = sum(
        chosen(flags, SAMPLING.draw_keys(1, 20, np.array([seed, 0]))[0], 3) * 1 for seed in range(2000)
    )
    assert counts[12:].sum() == 0 and counts.sum() == 6000
    assert np.abs(counts[:12] - 500).max() < 4 * np.sqrt(2000 * 0.25 * 0.75)


def test_layers_draw_different_samples() -> None:
    state = np.array([4, 0])
    mine, other = (s.draw_keys(1, 50, state)[0] for s in (SAMPLING, Sampling.named("other")))
    assert (np.argsort(mine) != np.argsort(other)).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 30), st.integers(0, 35), st.integers(0, 10**6))
def test_the_hardest(samples: int, elements: int, most: int, seed: int) -> None:
    """By score, of equal ones the last."""
    rng = np.random.default_rng(seed)
    flags = rng.random((samples, elements)) < 0.6
    scores = rng.integers(-3, 3, flags.shape).astype(np.float32)
    g = GraphBuilder("cpu")
    (found,) = run_nodes(
        g, {"f": flags, "s": scores}, [emit_highest(g, "f", "s", g.const([[most]], np.int64))]
    )
    for row, own, marks in zip(flags, scores, found, strict=True):
        order = sorted(np.flatnonzero(row), key=lambda place: (-own[place], -place))
        assert sorted(order[:most]) == np.flatnonzero(marks).tolist()
        np.testing.assert_array_equal(highest(row, own.astype(float), most), marks)

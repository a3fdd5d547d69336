"""CTCGreedyDecoder: against its reference, and paths written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def decoder(inside: str = "ctc_merge_repeated: true") -> Layer:
    return parse(f'type: "CTCGreedyDecoder" bottom: "x" bottom: "marks" ctc_decoder_param {{ {inside} }}')


def scores_of(paths: np.ndarray, classes: int) -> np.ndarray:
    """(T, N, C) in which each step's label of a path (N, T) is the likeliest."""
    scores = np.random.default_rng(0).uniform(0, 1, (*paths.T.shape, classes))
    np.put_along_axis(scores, paths.T[..., None], 2, 2)
    return scores.astype(np.float32)


@few
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.booleans(), st.booleans(), seeds)
def test_by_loops(number: int, steps: int, classes: int, merges: bool, free: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = rng.integers(0, classes, (number, steps))
    marks = rng.integers(0, 4, (steps, number)).clip(0, 1).astype(np.float32)
    layer = decoder() if merges else decoder("ctc_merge_repeated: false")
    dims = [(steps, None if free else number, classes), (steps, None if free else number)]
    (top,) = check_forward(layer, [scores_of(paths, classes), marks], dims=dims)
    for row, path, mark in zip(top.reshape(number, steps), paths.tolist(), marks.T, strict=True):
        length = int(np.argmin([*mark, 0]))
        path = path[:length]
        read = [
            label
            for before, label in zip([-1, *path], path, strict=False)
            if label != classes - 1 and not (merges and before == label)
        ]
        assert row.tolist() == read + [-1] * (steps - len(read))


def test_refuses() -> None:
    for inside in ("", "ctc_merge_repeated: true blank_index: 0"):
        with pytest.raises(UnsupportedError, match="forks differ: only the CTCGreedyDecoder"):
            decoder(inside)
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(4, 2\)"):
        decoder().out_shapes([(4, 2, 3), (2, 4)])

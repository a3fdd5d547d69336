"""LabelsequenceAccuracy: against its reference, and sequence by sequence."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import ShapeError


@few
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2), st.booleans(), seeds)
def test_the_share_of_sequences_that_are_read_right(
    number: int, steps: int, length: int, blank: int, symbolic: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    best = rng.integers(0, 3, (number, steps))
    scores = rng.random((number, steps, 3)) + 2 * np.eye(3)[best]
    read = [[int(k) for k, _ in groupby(row) if k != blank] for row in best]
    labels = rng.integers(0, 3, (number, length))
    for row, said in zip(labels, read, strict=True):
        if len(said) <= length and rng.random() < 0.7:  # the right ones, blanks anywhere between them
            row[:] = blank
            row[np.sort(rng.permutation(length)[: len(said)])] = said
    right = np.mean([said == [k for k in row if k != blank] for said, row in zip(read, labels, strict=True)])
    layer = parse(f'type: "LabelsequenceAccuracy" labelsequence_accuracy_param {{ blank_label: {blank} }}')
    dims = [(None, steps, 3), (None, length)] if symbolic else None
    (top,) = check_forward(layer, [scores.astype(np.float32), labels.astype(np.float32)], dims=dims)
    assert top == pytest.approx(right)


@pytest.mark.parametrize("shapes", [[(2, 5), (2, 3)], [(2, 5, 4), (3, 3)], [(2, 5, 4), (2, 3, 1)]])
def test_shapes(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ShapeError, match="The batch size should be equal"):
        parse('type: "LabelsequenceAccuracy"').out_shapes(shapes)

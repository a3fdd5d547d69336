"""MultiLabelAccuracy: against its reference and the forks' counts."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError

LAYER = parse('type: "MultiLabelAccuracy"')


@few
@given(shapes(least=2), seeds, st.data())
def test_by_counts(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    scores = values(seed, shape)
    label = np.random.default_rng(seed).choice([-2, -0.9, 0, 0.9, 1], shape).astype(np.float32)
    (top,) = check_forward(LAYER, [scores, label], dims=[data.draw(freed(shape)), shape])
    tp = fn = tn = fp = 0
    for score, said in zip(scores.reshape(-1), label.reshape(-1), strict=True):
        if int(said) > 0:
            tp, fn = tp + (score >= 0), fn + (score < 0)
        elif int(said) < 0:
            tn, fp = tn + (score < 0), fp + (score >= 0)
    assert top[0, 0, 0, 0] == pytest.approx(tp / (tp + fn) if tp + fn else 0)
    assert top[0, 1, 0, 0] == pytest.approx(tn / (tn + fp) if tn + fp else 0)
    if tp and tn:
        assert top[0, 2, 0, 0] == pytest.approx(2 / ((tp + fn) / tp + (tn + fp) / tn))
    assert top[0, 3, 0, 0] == pytest.approx(tp / (tp + fp) if tp else 0)
    assert top[0, 4, 0, 0] == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp else 0)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0, 0]),  # nothing is known
        ([1, 1, 0, 0], [0.5, 0, np.nan, 1, 2 / 3]),  # no label says no
        ([-1, 1, 1, 1], [1 / 3, 0, 0, 0.5, 0.4]),  # a score of 0 is a yes, and no "no" is found
    ],
)
def test_what_is_missing(labels: list[int], wanted: list[float]) -> None:
    scores = np.float32([0, -1, 2, -3])[None]
    (top,) = check_forward(LAYER, [scores, np.float32(labels)[None]])
    np.testing.assert_allclose(top.reshape(-1), wanted, rtol=1e-6)


def test_shapes() -> None:
    assert LAYER.out_shapes([(2, 3), (2, 3, 1, 1)]) == ((1, 5, 1, 1),)
    with pytest.raises(ShapeError, match=r"same sizes, got \[2, 3, 1, 1\] and \[2, 1, 1, 1\]"):
        LAYER.out_shapes([(2, 3), (2,)])

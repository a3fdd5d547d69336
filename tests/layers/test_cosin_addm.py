"""CosinAddm: against its reference and central differences."""

from __future__ import annotations

import numpy as np
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN


@few
@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 3), seeds, st.data())
def test_cosin_addm(number: int, classes: int, margin: float, seed: int, data: st.DataObject) -> None:
    layer = parse(f'type: "CosinAddm" cosin_add_m_param {{ m: {margin} }}', TRAIN)
    x = values(seed, (number, classes), -0.99, 0.99)
    labels = np.random.default_rng(seed).integers(0, classes, number).astype(np.float32)
    check_forward(layer, [x, labels], dims=[data.draw(freed(x.shape)), labels.shape], atol=2e-6)
    if np.abs(x - np.cos(np.pi - margin)).min() > 1e-3:
        check_gradient(layer, [x, labels], rtol=1e-3)


def test_scores_stay_in_test() -> None:
    x, labels = np.float32([[0.5, 0.1]]), np.float32([0])
    np.testing.assert_array_equal(check_forward(parse('type: "CosinAddm"', TEST), [x, labels])[0], x)
    assert parse('type: "CosinAddm"', TRAIN).amount == 0.5

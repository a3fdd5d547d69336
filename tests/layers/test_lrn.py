from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.errors import NetError, ShapeError

shapes = st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 5), st.integers(1, 6))


@settings(max_examples=60, deadline=None)
@given(
    shapes,
    st.sampled_from([1, 3, 5, 9]),
    st.sampled_from([0.0001, 0.3, 1.0, 4.0]),
    st.sampled_from([0.0, 0.5, 0.75, 1.3, -0.4]),
    st.sampled_from([0.7, 1.0, 2.0]),
    st.sampled_from(["ACROSS_CHANNELS", "WITHIN_CHANNEL"]),
)
def test_any_shape(
    shape: tuple[int, ...], size: int, alpha: float, beta: float, k: float, region: str
) -> None:
    layer = parse(
        'type: "LRN" lrn_param {'
        f" local_size: {size} alpha: {alpha} beta: {beta} k: {k} norm_region: {region} }}"
    )
    x = tie_free(np.random.default_rng(0), shape, -3, 3)
    check_forward(layer, [x], dims=[(None, shape[1], None, None)])
    check_gradient(layer, [x], most=30)


def test_within_a_channel_k_is_1_whatever_it_says() -> None:
    x = tie_free(np.random.default_rng(0), (1, 2, 3, 3))
    tops = [
        check_forward(parse(f'type: "LRN" lrn_param {{ norm_region: WITHIN_CHANNEL k: {k} }}'), [x])[0]
        for k in (1, 7)
    ]
    np.testing.assert_array_equal(*tops)


def test_what_lies_outside_counts_as_zero() -> None:
    """One channel of ones, n = 5: the sum is 1 of 5, not 1 of 1."""
    x = np.ones((1, 1, 1, 1), np.float32)
    (y,) = check_forward(parse('type: "LRN" lrn_param { beta: 1 }'), [x])
    assert y.item() == pytest.approx(1 / (1 + 1 / 5))
    (y,) = check_forward(parse('type: "LRN" lrn_param { beta: 1 norm_region: WITHIN_CHANNEL }'), [x])
    assert y.item() == pytest.approx(1 / (1 + 1 / 25))


def test_refusals() -> None:
    with pytest.raises(NetError, match=r"layer 'l': .*LRN only supports odd values for local_size"):
        parse('type: "LRN" lrn_param { local_size: 4 }')
    with pytest.raises(ShapeError, match="Input must have 4 axes"):
        parse('type: "LRN"').out_shapes([(2, 3)])

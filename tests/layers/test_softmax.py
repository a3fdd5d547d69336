"""Softmax against its reference, central differences and its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.errors import NetError


@settings(max_examples=40, deadline=None)
@given(st.data(), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_equals_reference_and_central_differences(data: st.DataObject, shape: list[int], seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    layer = parse(f'type: "Softmax" softmax_param {{ axis: {axis} }}')
    x = tie_free(np.random.default_rng(seed), shape, -4, 4)
    (y,) = check_forward(layer, [x], dims=[(None,) * len(shape)])
    np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-5)
    check_gradient(layer, [x], most=40)


def test_large_scores_do_not_overflow() -> None:
    x = np.array([[1000, 999, -1000], [-1000, -1000, -1000]], np.float32)
    (y,) = check_forward(parse('type: "Softmax"'), [x])
    e = np.exp(-1)
    np.testing.assert_allclose(y, [[1 / (1 + e), e / (1 + e), 0], [1 / 3] * 3], rtol=1e-6)


@pytest.mark.parametrize("axis", [2, -3])
def test_axis_out_of_range(axis: int) -> None:
    layer = parse(f'type: "Softmax" softmax_param {{ axis: {axis} }}')
    with pytest.raises(NetError, match=f"axis {axis} out of range"):
        layer.out_shapes([(2, 3)])


def test_scores_are_divided_by_a_temperature() -> None:
    """A field of forks that distil nets; 0 stands for 1."""
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    (warm,) = check_forward(parse('type: "Softmax" softmax_param { temperature: 4 }'), [x])
    (plain,) = check_forward(parse('type: "Softmax"'), [x / 4])
    np.testing.assert_allclose(warm, plain, rtol=1e-6)
    check_gradient(parse('type: "Softmax" softmax_param { temperature: 4 }'), [x])
    (zero,) = check_forward(parse('type: "Softmax" softmax_param { temperature: 0 }'), [x])
    np.testing.assert_array_equal(zero, check_forward(parse('type: "Softmax"'), [x])[0])

"""SeLU and SeLu: against their reference, a formula of the test's own, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values


@few
@given(st.sampled_from(["SeLU", "SeLu"]), shapes(), seeds, st.data())
def test_forward(name: str, shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    layer = parse(f'type: "{name}" selu_param {{ alpha: 1.5 lambda: 0.75 }}')
    x = values(seed, shape, -5, 5)
    (y,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    d = x.astype(float)
    np.testing.assert_allclose(y, np.where(d > 0, 0.75 * d, 1.125 * (np.exp(d) - 1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["SeLU", "SeLu"])
def test_gradient(name: str) -> None:
    check_gradient(parse(f'type: "{name}"'), [tie_free(np.random.default_rng(0), (3, 4, 5), -4, 4)])


def test_its_numbers_keep_mean_and_variance() -> None:
    """The fixed point of the paper: normal inputs keep mean 0 and variance 1."""
    grid = np.linspace(-9, 9, 40001)
    weights = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
    y = parse('type: "SeLU"').exact(grid)
    assert abs(weights @ y) < 1e-6
    assert abs(weights @ y**2 - 1) < 1e-6

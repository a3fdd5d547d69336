"""ReLU6: against its reference, and the fork's rule at its kinks."""

from __future__ import annotations

import numpy as np
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes


@few
@given(shapes(), seeds, st.sampled_from([0, 0.25, -0.5]), st.data())
def test_relu6(shape: tuple[int, ...], seed: int, slope: float, data: st.DataObject) -> None:
    layer = parse(f'type: "ReLU6" relu6_param {{ negative_slope: {slope} }}')
    x = tie_free(np.random.default_rng(seed), shape, -9, 9)
    x[np.abs(x - 6) < 1e-3] = 7
    check_forward(layer, [x], dims=[data.draw(freed(shape))])
    if slope >= 0:
        check_gradient(layer, [x])


def test_relu6_at_its_kinks() -> None:
    """The fork compares the bottom: no slope at 6, the negative slope at 0, and none above it."""
    layer = parse('type: "ReLU6" relu6_param { negative_slope: -1 }')
    x = np.array([-8, -2, 0, 3, 6, 7], np.float32)
    (y,) = check_forward(layer, [x])
    assert y.tolist() == [6, 2, 0, 3, 6, 6]
    (dx,) = run_gradient(layer, [x], [], [np.ones(6, np.float32)])
    assert dx is not None
    assert dx.tolist() == [-1, -1, -1, 1, 0, 0]

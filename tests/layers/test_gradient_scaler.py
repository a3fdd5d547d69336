"""GradientScaler and GradientReversal: the bottom as it is, the gradient by the formula."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Layer

TEXT = "lower_bound: {} upper_bound: {} alpha: {} max_iter: {}"


def scaler(*values: float, phase: int = TRAIN) -> Layer:
    return parse(f'type: "GradientScaler" gradient_scaler_param {{ {TEXT.format(*values)} }}', phase)


@few
@given(shapes(), st.integers(0, 30), st.sampled_from([(0, 1, 10, 20), (-1, 0.5, 0, 1), (0.25, 0.25, 3, 7)]))
def test_by_formula(shape: tuple[int, ...], n: int, numbers: tuple[float, ...]) -> None:
    x, dy = values(n, shape), values(n + 1, shape)
    layer, passes = scaler(*numbers), np.asarray(n)
    (top,) = check_forward(layer, [x], states=[passes])
    np.testing.assert_array_equal(top, x)
    (dx,) = run_gradient(layer, [x], [], [dy], states=[passes])
    lower, upper, alpha, most = numbers
    height = upper - lower
    factor = 2 * height / (1 + exp(-alpha * min(1, n / most))) - height + lower
    np.testing.assert_allclose(dx, -factor * dy, rtol=1e-4, atol=1e-6)


@few
@given(shapes(), seeds, st.data())
def test_reversal(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x, dy = values(seed, shape), values(seed + 1, shape)
    for layer in (parse('type: "GradientReversal"'), scaler(0, 1, 10, 5, phase=TEST)):
        (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
        np.testing.assert_array_equal(top, x)
        (dx,) = run_gradient(layer, [x], [], [dy])
        np.testing.assert_array_equal(dx, -dy)


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="alpha, max_iter must be given"):
        parse('type: "GradientScaler" gradient_scaler_param { lower_bound: 0 }')
    with pytest.raises(NetError, match="got 2, 1, 10, 5"):
        scaler(2, 1, 10, 5)

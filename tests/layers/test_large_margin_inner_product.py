"""LargeMarginInnerProduct: against its reference, L-Softmax's formulas in loops, and central differences."""

from __future__ import annotations

from math import acos, cos, floor, pi, sqrt

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed

TYPES = ["SINGLE", "DOUBLE", "TRIPLE", "QUADRUPLE"]


def large_margin(text: str) -> Layer:
    field = f"largemargin_inner_product_param {{ {text} }}"
    return parse(f'type: "LargeMarginInnerProduct" top: "y" top: "lambda" {field}')


def scores(multiple: int, lam: float, x: np.ndarray, w: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Section 4.1: ``(-1)^k cos(m a) - 2k`` for an angle a from k pi / m to (k + 1) pi / m."""
    top = x @ w.T
    for i, label in enumerate(labels):
        size = sqrt((x[i] ** 2).sum()) * sqrt((w[label] ** 2).sum())
        angle = acos(max(-1, min(1, top[i, label] / size)))
        k = min(floor(angle * multiple / pi), multiple - 1)
        psi = (-1) ** k * cos(multiple * angle) - 2 * k
        top[i, label] = (lam * top[i, label] + size * psi) / (1 + lam)
    return top


@few
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(2, 5),
    st.integers(1, 4),
    st.integers(0, 2),
    seeds,
    st.data(),
)
def test_by_loops(
    multiple: int, number: int, inputs: int, classes: int, done: int, seed: int, data: st.DataObject
) -> None:
    layer = large_margin(
        f"num_output: {classes} type: {TYPES[multiple - 1]} base: 5 gamma: 0.5 power: 2 lambda_min: 0.9"
    )
    x, w = values(seed, (number, inputs)), values(seed + 1, (classes, inputs))
    labels = np.random.default_rng(seed).integers(0, classes, number).astype(np.float32)
    state = np.array(done)
    lam = max(5 / (1 + 0.5 * (done + 1)) ** 2, 0.9)
    free = data.draw(freed(x.shape, but=(1,)))
    top, found = check_forward(layer, [x, labels], [w], [state], dims=[free, labels.shape], atol=1e-5)
    expected = scores(multiple, lam, x.astype(float), w.astype(float), labels.astype(int))
    np.testing.assert_allclose(top, expected, rtol=1e-4, atol=2e-5)
    assert found[0] == pytest.approx(lam, rel=1e-5)
    check_gradient(layer, [x, labels], [w], needed=Needed((True, False), (True,)), states=[state], rtol=1e-2)


def test_refuses() -> None:
    with pytest.raises(NetError, match="must be > 0"):
        large_margin("")
    with pytest.raises(UnsupportedError, match="axis 2, only 1"):
        large_margin("num_output: 2 axis: 2")
    with pytest.raises(ShapeError, match="Number of labels must match number of output"):
        large_margin("num_output: 2").out_shapes([(2, 3), (3,)])
    (definition,) = large_margin("num_output: 2").param_defs([(2, 3), (2,)])
    assert not definition.moved

"""LiftedStructSimilaritySoftmaxLoss: against its reference, the paper's equation and central differences."""

from __future__ import annotations

from itertools import combinations
from math import dist, exp, log

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import GradientError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed


def lifted(margin: float) -> Layer:
    text = f"lifted_struct_sim_softmax_loss_param {{ margin: {margin} }}"
    return parse(f'type: "LiftedStructSimilaritySoftmaxLoss" {text}')


@few
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=7),
    st.integers(1, 4),
    st.sampled_from([-1.5, 0.5, 1, 3]),
    seeds,
    st.data(),
)
def test_by_equation(labels: list[int], channels: int, margin: float, seed: int, data: st.DataObject) -> None:
    layer, x = lifted(margin), values(seed, (len(labels), channels), -2, 2)
    label = np.float32(labels)
    (loss,) = check_forward(layer, [x, label], dims=[data.draw(freed(x.shape)), label.shape])
    total, pairs = 0.0, 0
    for i, j in combinations(range(len(labels)), 2):
        others = [k for k in range(len(labels)) if labels[k] != labels[i]]
        if labels[i] == labels[j] and others:
            near = sum(exp(margin - dist(x[a], x[k])) for a in (i, j) for k in others)
            total, pairs = total + max(log(near) + dist(x[i], x[j]), 0) ** 2, pairs + 1
    assert loss == pytest.approx(total / max(2 * pairs, 1), rel=1e-4, abs=1e-6)
    check_gradient(layer, [x, label], rtol=1e-3)


def test_far_features_stay_finite() -> None:
    x = np.float32([[0], [3000], [-4000], [5000]])
    layer, label = lifted(1), np.float32([[0], [0], [1], [1]])
    check_forward(layer, [x, label])
    check_gradient(layer, [x, label], rtol=1e-3)


def test_equal_features_are_not_pulled_along() -> None:
    x, label = np.float32([[1, 2], [1, 2], [1, 3]]), np.float32([0, 0, 1])
    dx, d_label = run_gradient(lifted(1), [x, label], [], [np.float32(2)])
    assert np.isfinite(dx).all() and dx.any() and d_label is None
    np.testing.assert_array_equal(dx[:, 0], 0)


@pytest.mark.parametrize("labels", [[0, 1, 2], [4, 4, 4]])
def test_without_a_pair_or_a_stranger_there_is_no_loss(labels: list[int]) -> None:
    inputs = [values(0, (3, 2)), np.float32(labels)]
    (loss,) = check_forward(lifted(1), inputs)
    assert loss == 0
    dx, _ = run_gradient(lifted(1), inputs, [], [np.float32(1)])
    np.testing.assert_array_equal(dx, 0)


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="margin must be given"):
        parse('type: "LiftedStructSimilaritySoftmaxLoss"')
    layer = lifted(1)
    assert layer.out_shapes([(4, 3, 1, 1), (4, 1)]) == ((),)
    with pytest.raises(ShapeError, match="height"):
        layer.out_shapes([(4, 3, 2, 1), (4,)])
    with pytest.raises(ShapeError, match="channels"):
        layer.out_shapes([(4, 3), (4, 2)])
    with pytest.raises(ShapeError, match="same first dimension"):
        layer.out_shapes([(4, 3), (3,)])
    x = values(0, (2, 3))
    with pytest.raises(GradientError, match="cannot backpropagate to label"):
        run_gradient(layer, [x, x[:, :1]], [], [np.float32(1)], needed=Needed((True, True), ()))

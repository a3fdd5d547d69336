"""LabelSpecificAdd: against its reference, central differences and the fork's loops."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Layer


def added(text: str, phase: int = TRAIN, tops: int = 1) -> Layer:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    return parse(f'type: "LabelSpecificAdd" {named} label_specific_add_param {{ {text} }}', phase)


@few
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 2), st.floats(-0.9, 0), seeds, st.data())
def test_by_loops(number: int, classes: int, tops: int, bias: float, seed: int, data: st.DataObject) -> None:
    x = values(seed, (number, classes))
    labels = np.random.default_rng(seed).integers(0, classes, number).astype(np.float32)
    layer = added(f"bias: {bias}", tops=tops)
    top, *second = check_forward(layer, [x, labels], dims=[data.draw(freed(x.shape)), labels.shape])
    expected = x.astype(float)
    for row, label in zip(expected, labels.astype(int), strict=True):
        row[label] += bias if row[label] > -bias else 0
    np.testing.assert_allclose(top, expected, atol=1e-6)
    assert len(second) == tops - 1
    assert np.allclose(second, bias)
    if np.abs(x + bias).min() > 1e-3:
        check_gradient(layer, [x, labels], d_tops=[values(seed + 1, x.shape), *[None] * (tops - 1)])


def test_a_growing_bias() -> None:
    text = "bias_base: -0.1 bias_gamma: 0.5 bias_power: -1 bias_min: -0.45 bias_max: 0 iteration: 1"
    layer, state = added(text, tops=2), np.zeros((), np.int64)
    x, labels = np.float32([[0.9, 0.8]]), np.float32([1])
    found = []
    for _ in range(3):
        tops = check_forward(layer, [x, labels], states=[state])
        state = layer.reference([x, labels], (), [state]).next_states[0]
        assert tops[0][0, 1] == pytest.approx(0.8 + tops[1][0])
        found.append(tops[1][0])
    np.testing.assert_allclose(found, [-0.1 + 1 / 1.5 - 1, -0.45, -0.45], rtol=1e-6)


def test_in_test_scores_stay() -> None:
    x, labels = np.float32([[0.9, 0.8]]), np.float32([1])
    for text in ("bias: -0.35", "bias: -0.35 transform_test: true", "bias_base: 1"):
        top, second = check_forward(added(text, TEST, 2), [x, labels])
        np.testing.assert_array_equal(top, x)
        assert second.tolist() == [0]
    assert added("bias: -0.35").in_place


def test_a_positive_bias_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"layer 'l': .*forks differ in what a positive one does"):
        added("bias: 0.35")

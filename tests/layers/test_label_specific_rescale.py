"""LabelSpecificRescale: against its reference, central differences and the fork's loops."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.layers.base import Layer


def rescaled(text: str, phase: int = TRAIN, tops: int = 1) -> Layer:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    return parse(f'type: "LabelSpecificRescale" {named} label_specific_rescale_param {{ {text} }}', phase)


@few
@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.floats(0.3, 2),
    st.floats(0.3, 2),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
    st.data(),
)
def test_by_loops(
    number: int,
    classes: int,
    weight: float,
    negative: float,
    for_ip: bool,
    power: bool,
    fixed: bool,
    seed: int,
    data: st.DataObject,
) -> None:
    x = values(seed, (number, classes), -2, 2)
    labels = np.random.default_rng(seed).integers(0, classes, number).astype(np.float32)
    flags = {"for_ip": for_ip, "power_on_positive": power, "bias_fix": fixed}
    text = " ".join(f"{name}: {str(flag).lower()}" for name, flag in flags.items())
    layer = rescaled(f"positive_weight: {weight} negative_weight: {negative} {text}")
    (top,) = check_forward(layer, [x, labels], dims=[data.draw(freed(x.shape)), labels.shape])
    expected = x.astype(float)
    for (row, column), score in np.ndenumerate(expected):
        if column != int(labels[row]):
            expected[row, column] = score * negative
        elif score > 0 or not for_ip:
            grown = np.sign(score) * abs(score) ** weight if power else score * weight
            expected[row, column] = grown + (1 - weight) * (fixed and not power)
    np.testing.assert_allclose(top, expected, rtol=1e-4, atol=1e-5)
    check_gradient(layer, [x, labels])
    assert layer.in_place == (not for_ip and not power)


def test_a_weight_that_changes() -> None:
    text = (
        "positive_weight_base: 2 gamma: 1 power: 0.5 iteration: 2 positive_weight_min: 0.9 rescale_test: true"
    )
    layer, state = rescaled(text, tops=2), np.zeros((), np.int64)
    x, labels = np.float32([[0.9, 0.8]]), np.float32([1])
    found = []
    for _ in range(3):
        top, weight = check_forward(layer, [x, labels], states=[state])
        state = layer.reference([x, labels], (), [state]).next_states[0]
        assert top[0, 1] == pytest.approx(0.8 * weight[0])
        found.append(weight[0])
    np.testing.assert_allclose(found, [1, 0.9, 0.9], rtol=1e-6)
    top, weight = check_forward(rescaled(text, TEST, 2), [x, labels])
    assert weight.tolist() == [1]
    np.testing.assert_array_equal(top, x)
    capped = rescaled("positive_weight_base: 2 positive_weight_max: 1.5")
    assert check_forward(capped, [x, labels], states=[state])[0][0, 1] == pytest.approx(1.2)


def test_in_test() -> None:
    x, labels = np.float32([[0.9, 0.8]]), np.float32([1])
    (top,) = check_forward(rescaled("positive_weight: 3", TEST), [x, labels])
    np.testing.assert_array_equal(top, x)
    (top,) = check_forward(rescaled("positive_weight: 3 rescale_test: true", TEST), [x, labels])
    np.testing.assert_allclose(top, [[0.9, 2.4]], rtol=1e-6)

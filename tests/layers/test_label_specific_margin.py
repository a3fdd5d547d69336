"""LabelSpecificMargin: against its reference and the fork's formulas, and its margin as a blob."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN, LayerParameter
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Layer
from vggrepro.layers.registry import layer_class


def margin(text: str, phase: int = TRAIN, tops: int = 1) -> Layer:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    return parse(f'type: "LabelSpecificMargin" {named} label_specific_margin_param {{ {text} }}', phase)


@few
@given(st.integers(1, 5), st.integers(1, 5), st.floats(-20, 60), seeds, st.data())
def test_by_formula(number: int, classes: int, degrees: float, seed: int, data: st.DataObject) -> None:
    x, blob = values(seed, (number, classes), -0.95, 0.95), np.float32([degrees])
    labels = np.random.default_rng(seed).integers(0, classes, number).astype(np.float32)
    dims = [data.draw(freed(x.shape)), labels.shape]
    (top,) = check_forward(margin(""), [x, labels], [blob], dims=dims, atol=2e-6)
    dy = values(seed + 1, x.shape)
    dx = run_gradient(margin(""), [x, labels], [blob], [dy])[0]
    expected, slopes = x.astype(float), np.ones(x.shape)
    for row, label in enumerate(labels.astype(int)):
        angle = np.arccos(expected[row, label])
        expected[row, label] = np.cos(angle + np.radians(degrees))
        if degrees != 0:
            slope = np.cos(np.radians(degrees)) - np.sin(np.radians(degrees)) / np.tan(angle)
            slopes[row, label] = np.clip(slope, 0, 2)
    np.testing.assert_allclose(top, expected, atol=5e-6)
    np.testing.assert_allclose(dx, dy * slopes, rtol=1e-3, atol=1e-5)


def test_a_growing_margin() -> None:
    layer = margin("margin_base: 2 gamma: 0.5 power: 2 margin_max: 4 iteration: 1", tops=2)
    x, labels, blob, state = (
        np.float32([[0.9, 0.8]]),
        np.float32([1]),
        np.float32([7]),
        np.zeros((), np.int64),
    )
    for expected in (2 + 1.5**2 - 1, 4, 4):
        tops = check_forward(layer, [x, labels], [blob], [state], atol=2e-6)
        result = layer.reference([x, labels], [blob], [state])
        assert tops[1][0] == pytest.approx(expected) == result.next_params[0][0]
        state = result.next_states[0]
    assert layer.param_defs([(1, 2), (1,)])[0].filler.value == 2
    kept = margin("margin_max: 4")
    assert kept.reference([x, labels], [blob], ()).next_params[0].tolist() == [4]


def test_in_test_scores_stay() -> None:
    layer = margin("margin_base: 2 margin_on_test: true", TEST, 2)
    x, labels = np.float32([[0.9, 0.8]]), np.float32([1])
    top, found = check_forward(layer, [x, labels], [np.float32([7])])
    np.testing.assert_array_equal(top, x)
    assert found.tolist() == [7]


def test_the_blob_gets_no_learning_rate() -> None:
    definition = text_format.Parse('type: "LabelSpecificMargin"', LayerParameter())
    layer_class("LabelSpecificMargin").set_up(definition)
    assert [(p.lr_mult, p.decay_mult) for p in definition.param] == [(0, 0)]


def test_refuses() -> None:
    for text in ("type: SOFT", "auto_tune: true", "reset_margin: true"):
        with pytest.raises(UnsupportedError, match=r"layer 'l': .*are not implemented"):
            margin(text)

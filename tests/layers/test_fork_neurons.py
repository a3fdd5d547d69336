"""Mish, HardSwish and HardSigmoid: against their references, and formulas of the test's own."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import UnsupportedError
from vggrepro.layers.rules.neuron import BottomAndTop

HARD_SIGMOID = 'type: "HardSigmoid" hardsigmoid_param { alpha: 0.25 beta: 0.4 }'


@few
@given(st.sampled_from(['type: "Mish"', 'type: "HardSwish"', HARD_SIGMOID]), shapes(), seeds, st.data())
def test_forward(text: str, shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    check_forward(parse(text), [values(seed, shape, -9, 9)], dims=[data.draw(freed(shape))])


def test_by_formula() -> None:
    x = np.array([-30, -4, -3, -1, 0, 0.5, 2, 3, 4, 30], np.float32)
    d = x.astype(float)
    (mish,) = check_forward(parse('type: "Mish"'), [x])
    np.testing.assert_allclose(mish, d * np.tanh(np.log1p(np.exp(d))), rtol=1e-5, atol=1e-9)
    (swish,) = check_forward(parse('type: "HardSwish"'), [x])
    np.testing.assert_allclose(
        swish, [0, 0, 0, -1 / 3, 0, 0.5 * 3.5 / 6, 2 * 5 / 6, 3, 4, 30], rtol=1e-6, atol=1e-7
    )
    (sigmoid,) = check_forward(parse(HARD_SIGMOID), [x])
    np.testing.assert_allclose(sigmoid, np.minimum(np.maximum(0.25 * d + 0.4, 0), 1), rtol=1e-6)


@pytest.mark.parametrize("name", ["Mish", "HardSwish"])
def test_gradient(name: str) -> None:
    check_gradient(parse(f'type: "{name}"'), [tie_free(np.random.default_rng(0), (3, 4, 5), -7.3, 7.3)])


def test_hard_swish_at_its_kinks() -> None:
    """The fork's slope from -3 to 3, both included, is (2 x + 3) / 6."""
    x = np.array([-4, -3, 0, 3, 4], np.float32)
    (dx,) = run_gradient(parse('type: "HardSwish"'), [x], [], [np.ones(5, np.float32)])
    np.testing.assert_allclose(dx, [0, -0.5, 0.5, 1.5, 1], rtol=1e-6)


def test_hard_swish_keeps_a_copy_of_its_bottom_in_place() -> None:
    layer, saved = parse('type: "HardSwish"'), BottomAndTop("x", "y")
    assert layer.reread(saved, ["y"], ["y"]) == saved
    assert layer.reread(saved, ["changed"], ["y"]) == BottomAndTop("changed", "y")


def test_hard_sigmoid_of_unknown_slope_is_refused() -> None:
    with pytest.raises(
        UnsupportedError, match="layer 'l': HardSigmoid without hardsigmoid_param: forks differ"
    ):
        parse('type: "HardSigmoid"')
    assert not parse(HARD_SIGMOID).has_gradient

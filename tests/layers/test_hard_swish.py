"""HardSwish: against its reference, by hand, central differences, and at its kinks."""

from __future__ import annotations

import numpy as np
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.layers.rules.neuron import BottomAndTop


@few
@given(shapes(), seeds, st.data())
def test_forward(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    check_forward(parse('type: "HardSwish"'), [values(seed, shape, -9, 9)], dims=[data.draw(freed(shape))])


def test_by_hand() -> None:
    x = np.array([-30, -4, -3, -1, 0, 0.5, 2, 3, 4, 30], np.float32)
    (swish,) = check_forward(parse('type: "HardSwish"'), [x])
    expected = [0, 0, 0, -1 / 3, 0, 0.5 * 3.5 / 6, 2 * 5 / 6, 3, 4, 30]
    np.testing.assert_allclose(swish, expected, rtol=1e-6, atol=1e-7)


def test_gradient() -> None:
    check_gradient(parse('type: "HardSwish"'), [tie_free(np.random.default_rng(0), (3, 4, 5), -7.3, 7.3)])


def test_kinks() -> None:
    """The fork's slope from -3 to 3, both included, is (2 x + 3) / 6."""
    x = np.array([-4, -3, 0, 3, 4], np.float32)
    (dx,) = run_gradient(parse('type: "HardSwish"'), [x], [], [np.ones(5, np.float32)])
    np.testing.assert_allclose(dx, [0, -0.5, 0.5, 1.5, 1], rtol=1e-6)


def test_keeps_a_copy_of_its_bottom_in_place() -> None:
    layer, saved = parse('type: "HardSwish"'), BottomAndTop("x", "y")
    assert layer.reread(saved, ["y"], ["y"]) == saved
    assert layer.reread(saved, ["changed"], ["y"]) == BottomAndTop("changed", "y")

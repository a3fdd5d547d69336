"""ExpMax: against its reference, the fork's formula and slopes."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def exp_max(text: str = "") -> Layer:
    return parse(f'type: "ExpMax" expmax_param {{ {text} }}')


@few
@given(st.tuples(*[st.integers(1, 4)] * 4), st.sampled_from([-1, 0.5, 3]), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], base: float, seed: int, data: st.DataObject) -> None:
    layer, x = exp_max(f"base: {base} scale: 0.7 shift: -0.3"), values(seed, shape, -2, 2)
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    below = x.astype(float) - x.max(axis=1, keepdims=True)
    number = np.e if base == -1 else base
    expected = number**-0.3 * number ** (0.7 * below)
    np.testing.assert_allclose(top, expected, rtol=1e-5)
    dy = values(seed + 1, shape)
    (dx,) = run_gradient(layer, [x], [], [dy])
    np.testing.assert_allclose(dx, expected * np.log(number) * 0.7 * dy, rtol=1e-4, atol=1e-6)


def test_each_place_of_each_item_has_a_one() -> None:
    (top,) = check_forward(exp_max(), [values(0, (2, 3, 4, 5), -50, 50)])
    np.testing.assert_array_equal(top.max(axis=1), 1)


def test_refuses() -> None:
    with pytest.raises(NetError, match="strictly positive, got 0"):
        exp_max("base: 0")
    with pytest.raises(ShapeError, match="4 axes"):
        exp_max().out_shapes([(2, 3)])

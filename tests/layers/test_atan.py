"""Atan: against its reference, the formula and central differences."""

from __future__ import annotations

from math import atan

import numpy as np
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values


@few
@given(shapes(), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = values(seed, shape)
    layer = parse('type: "Atan"')
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    expected = [atan(value) for value in x.reshape(-1).tolist()]
    np.testing.assert_allclose(top.reshape(-1), expected, rtol=1e-5, atol=1e-7)
    check_gradient(layer, [x])


def test_far_and_near_0() -> None:
    x = np.float32([0, 1e-30, -1e-7, 0.5, -1, 30, -1e4, 1e18, -3e38, np.inf])
    (top,) = check_forward(parse('type: "Atan"'), [x])
    np.testing.assert_allclose(top, np.arctan(x.astype(float)), rtol=5e-7)

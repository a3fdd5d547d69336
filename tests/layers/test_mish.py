"""Mish: against its reference, a formula of the test's own and central differences."""

from __future__ import annotations

import numpy as np
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values


@few
@given(shapes(), seeds, st.data())
def test_forward(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    check_forward(parse('type: "Mish"'), [values(seed, shape, -9, 9)], dims=[data.draw(freed(shape))])


def test_by_formula() -> None:
    x = np.array([-30, -4, -1, 0, 0.5, 2, 30], np.float32)
    d = x.astype(float)
    (mish,) = check_forward(parse('type: "Mish"'), [x])
    np.testing.assert_allclose(mish, d * np.tanh(np.log1p(np.exp(d))), rtol=1e-5, atol=1e-9)


def test_gradient() -> None:
    check_gradient(parse('type: "Mish"'), [tie_free(np.random.default_rng(0), (3, 4, 5), -7.3, 7.3)])

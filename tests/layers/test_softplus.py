"""Softplus: against its reference and the formula."""

from __future__ import annotations

import numpy as np
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values


@few
@given(shapes(), seeds, st.data())
def test_softplus(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = values(seed, shape, -9, 9)
    (top,) = check_forward(parse('type: "Softplus"'), [x], dims=[data.draw(freed(shape))])
    np.testing.assert_allclose(top, np.log(np.exp(x.astype(float)) + 1), rtol=1e-5)


def test_far_out() -> None:
    x = np.float32([-100, 100])
    (top,) = check_forward(parse('type: "Softplus"'), [x])
    np.testing.assert_allclose(top, [0, 100], atol=1e-6)
    assert not parse('type: "Softplus"').has_gradient

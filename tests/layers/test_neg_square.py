"""NegSquare: against its reference, the formula and central differences."""

from __future__ import annotations

import numpy as np
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

LAYER = 'type: "NegSquare"'


@few
@given(shapes(), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = values(seed, shape, -3, 3)
    (top,) = check_forward(parse(LAYER), [x], dims=[data.draw(freed(shape))])
    np.testing.assert_allclose(top, -np.square(x), rtol=1e-6)
    check_gradient(parse(LAYER), [x])

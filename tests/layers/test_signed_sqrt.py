"""SignedSqrt: against its reference, the formula and the fork's gradient."""

from __future__ import annotations

import numpy as np
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

LAYER = 'type: "SignedSqrt"'


@few
@given(shapes(), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = values(seed, shape, -3, 3)
    (top,) = check_forward(parse(LAYER), [x], dims=[data.draw(freed(shape))])
    np.testing.assert_allclose(np.sign(top) * top**2, x, rtol=1e-5, atol=1e-7)


def test_the_gradient_is_finite_at_zero() -> None:
    """Elsewhere it is that of the root, but for 0.03 in the divisor."""
    x = np.float32([0, 4, -9, 1e-12])
    (dx,) = run_gradient(parse(LAYER), [x], [], [np.ones(4, np.float32)])
    np.testing.assert_allclose(dx, [0.5 / 0.03, 0.5 / 2.03, 0.5 / 3.03, 0.5 / 0.030001], rtol=1e-5)
    far = np.float32([2500, -2500])
    (dx,) = run_gradient(parse(LAYER), [far], [], [np.ones(2, np.float32)])
    step = (np.sqrt(2501) - np.sqrt(2499)) / 2
    np.testing.assert_allclose(dx, [step, step], rtol=1e-3)

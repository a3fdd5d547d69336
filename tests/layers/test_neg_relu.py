"""NegReLU and MinReLU: against their reference, the formula and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes

FORMS = [
    'type: "NegReLU" relu_param {{ negative_slope: {} }}',
    'type: "MinReLU" minrelu_param {{ positive_slope: {} }}',
]


@few
@given(st.sampled_from(FORMS), shapes(), st.sampled_from([0, 0.25, -0.5]), seeds, st.data())
def test_by_formula(form: str, shape: tuple[int, ...], slope: float, seed: int, data: st.DataObject) -> None:
    x = tie_free(np.random.default_rng(seed), shape)
    layer = parse(form.format(slope))
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    np.testing.assert_allclose(top, np.minimum(x, 0) + slope * np.maximum(x, 0), rtol=1e-6)
    check_gradient(layer, [x])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("slope", [0, 0.25])
def test_the_gradient_at_0(form: str, slope: float) -> None:
    (dx,) = run_gradient(parse(form.format(slope)), [np.float32([-1, 0, 1])], [], [np.float32([1, 1, 1])])
    assert dx.tolist() == [1, slope, slope]


@pytest.mark.parametrize("kind", ["NegReLU", "MinReLU"])
def test_without_a_slope_nothing_positive_passes(kind: str) -> None:
    (top,) = check_forward(parse(f'type: "{kind}"'), [np.float32([-2, 0, 3])])
    assert top.tolist() == [-2, 0, 0]

"""Swish: against its reference, and far from 0."""

from __future__ import annotations

import numpy as np
from harness import check_forward, parse, run_gradient
from hypothesis import given, settings
from neuron_cases import PARAMETERS, SEEDS, SHAPES, check_neuron


@settings(max_examples=20, deadline=None)
@given(PARAMETERS, SHAPES, SEEDS)
def test_equals_reference_and_central_differences(beta: float, shape: list[int], seed: int) -> None:
    check_neuron(f'type: "Swish" swish_param {{ beta: {beta} }}', -5, 5, shape, seed)


def test_small_values_are_right() -> None:
    """A gate that is nearly shut: the runtime's own Sigmoid is off by 1% and more at -10."""
    x = np.linspace(-15, -2, 200, dtype=np.float32)
    check_forward(parse('type: "Swish"'), [x], rtol=1e-6, atol=0)


def test_small_slopes_are_right() -> None:
    x = np.linspace(-40, -2, 200, dtype=np.float32)
    s = 1 / (1 + np.exp(-x.astype(np.float64)))
    (dx,) = run_gradient(parse('type: "Swish"'), [x], [], [np.ones_like(x)])
    np.testing.assert_allclose(dx, s + x * s * (1 - s), rtol=3e-6)

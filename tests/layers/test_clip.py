"""Clip: against its reference, and on its limits."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, tie_free
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from neuron_cases import PARAMETERS, SEEDS, SHAPES, check_values


@settings(max_examples=30, deadline=None)
@given(PARAMETERS, st.floats(0.125, 3, width=32), SHAPES, SEEDS)
def test_clip(low: float, width: float, shape: list[int], seed: int) -> None:
    layer = parse(f'type: "Clip" clip_param {{ min: {low} max: {low + width} }}')
    x = tie_free(np.random.default_rng(seed), shape, -4, 4)
    assume(min(np.abs(x - low).min(), np.abs(x - low - width).min()) > 1e-3)
    check_forward(layer, [x], dims=[(None,) * len(shape)])
    check_gradient(layer, [x])


@pytest.mark.parametrize(
    ("text", "x", "y", "slope"),
    [
        ('type: "Clip" clip_param { min: -1 max: 2 }', [-1, 2, 2.5], [-1, 2, 2], [1, 1, 0]),
        ('type: "Clip" clip_param { min: 2 max: -1 }', [-1, 0.5, 2], [2, 2, 2], [0, 0, 0]),
    ],
)
def test_single_values(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    check_values(text, x, y, slope)

"""ReLU: against its reference, and at 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from neuron_cases import PARAMETERS, SEEDS, SHAPES, check_neuron, check_values


@settings(max_examples=20, deadline=None)
@given(PARAMETERS, SHAPES, SEEDS)
def test_equals_reference_and_central_differences(slope: float, shape: list[int], seed: int) -> None:
    check_neuron(f'type: "ReLU" relu_param {{ negative_slope: {slope} }}', -3, 3, shape, seed)


@pytest.mark.parametrize(
    ("text", "x", "y", "slope"),
    [
        ('type: "ReLU"', [-1, 0, 2], [0, 0, 2], [0, 0, 1]),
        ('type: "ReLU" relu_param { negative_slope: 0.5 }', [-2, 0, 2], [-1, 0, 2], [0.5, 0.5, 1]),
        ('type: "ReLU" relu_param { negative_slope: -1 }', [-2, 0, 2], [2, 0, 2], [-1, -1, 1]),
        ('type: "ReLU"', [np.nan, -1, 1], [np.nan, 0, 1], [0, 0, 1]),
        ('type: "ReLU" relu_param { negative_slope: 0.5 }', [np.nan], [np.nan], [0.5]),
        ('type: "ReLU"', [-np.inf, np.inf, 1], [0, np.inf, 1], [0, 1, 1]),
    ],
)
def test_single_values(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    check_values(text, x, y, slope)

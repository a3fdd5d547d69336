"""TanH: against its reference, and far from 0."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from neuron_cases import SEEDS, SHAPES, check_neuron, check_values


@settings(max_examples=20, deadline=None)
@given(SHAPES, SEEDS)
def test_equals_reference_and_central_differences(shape: list[int], seed: int) -> None:
    check_neuron('type: "TanH"', -4, 4, shape, seed)


@pytest.mark.parametrize(
    ("text", "x", "y", "slope"),
    [
        ('type: "TanH"', [-200, 0, 200], [-1, 0, 1], [0, 1, 0]),
    ],
)
def test_single_values(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    check_values(text, x, y, slope)

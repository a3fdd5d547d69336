"""AbsVal: against its reference, and at 0."""

from __future__ import annotations

import pytest
from harness import parse
from hypothesis import given, settings
from neuron_cases import SEEDS, SHAPES, check_neuron, check_values


@settings(max_examples=20, deadline=None)
@given(SHAPES, SEEDS)
def test_equals_reference_and_central_differences(shape: list[int], seed: int) -> None:
    check_neuron('type: "AbsVal"', -3, 3, shape, seed)


@pytest.mark.parametrize(
    ("text", "x", "y", "slope"),
    [
        ('type: "AbsVal"', [-2, 0, 2], [2, 0, 2], [-1, 0, 1]),
    ],
)
def test_single_values(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    check_values(text, x, y, slope)


def test_not_in_place() -> None:
    assert not parse('type: "AbsVal"').in_place

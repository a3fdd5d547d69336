"""Exp: against its reference, and the bases that Caffe refuses."""

from __future__ import annotations

import numpy as np
import pytest
from harness import parse
from hypothesis import given, settings
from neuron_cases import BASES, PARAMETERS, SEEDS, SHAPES, check_neuron, check_values

from vggrepro.errors import NetError


@settings(max_examples=20, deadline=None)
@given(BASES, PARAMETERS, PARAMETERS, SHAPES, SEEDS)
def test_equals_reference_and_central_differences(
    base: float, scale: float, shift: float, shape: list[int], seed: int
) -> None:
    text = f'type: "Exp" exp_param {{ base: {base} scale: {scale} shift: {shift} }}'
    check_neuron(text, -2, 2, shape, seed)


@pytest.mark.parametrize(
    ("text", "x", "y", "slope"),
    [
        ('type: "Exp" exp_param { base: 2 shift: 1 }', [0, 1, 2], [2, 4, 8], np.log(2) * np.array([2, 4, 8])),
        ('type: "Exp" exp_param { base: 1 }', [0, 1, 2], [1, 1, 1], [0, 0, 0]),
    ],
)
def test_single_values(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    check_values(text, x, y, slope)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('type: "Exp" exp_param { base: 0 }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: -2 }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: nan }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: inf }', "Inf result: log"),
    ],
)
def test_bases_that_caffe_refuses(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(text)

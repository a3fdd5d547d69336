"""Log: against its reference, at 0, and the bases that Caffe refuses."""

from __future__ import annotations

import numpy as np
import pytest
from harness import parse
from hypothesis import given, settings
from neuron_cases import BASES, POSITIVE, SEEDS, SHAPES, check_neuron, check_values

from vggrepro.errors import NetError


@settings(max_examples=20, deadline=None)
@given(BASES, POSITIVE, SHAPES, SEEDS)
def test_equals_reference_and_central_differences(
    base: float, scale: float, shape: list[int], seed: int
) -> None:
    text = f'type: "Log" log_param {{ base: {base} scale: {scale} shift: 0.5 }}'
    check_neuron(text, 0, 4, shape, seed)


@pytest.mark.parametrize(
    ("text", "x", "y", "slope"),
    [
        (
            'type: "Log" log_param { base: 2 }',
            [0.5, 1, 0],
            [-1, 0, -np.inf],
            [2 / np.log(2), 1 / np.log(2), np.inf],
        ),
    ],
)
def test_single_values(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    check_values(text, x, y, slope)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('type: "Log" log_param { base: 0 }', "base must be strictly positive"),
        ('type: "Log" log_param { base: 1 }', "Inf result: 1/log"),
    ],
)
def test_bases_that_caffe_refuses(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(text)

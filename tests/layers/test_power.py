"""Power: against its reference, and the edges of Caffe's four forms."""

from __future__ import annotations

import numpy as np
import pytest
from harness import parse
from hypothesis import given, settings
from hypothesis import strategies as st
from neuron_cases import PARAMETERS, POSITIVE, SEEDS, SHAPES, check_neuron, check_values

from vggrepro.emit import GraphBuilder, Value


@st.composite
def smooth_powers(draw: st.DrawFn) -> tuple[str, float, float]:
    """A layer's parameters, and a range of x in which its only kink is 0 and all values are moderate."""
    a, b, c, positive = draw(PARAMETERS), draw(PARAMETERS), draw(PARAMETERS), draw(POSITIVE)
    cases = [
        (f"scale: {a} shift: {b}", -3, 3),
        (f"power: 2 scale: {a} shift: {b}", -3, 3),
        (f"power: {c} scale: {positive} shift: 0.5", 0, 3),
        (f"power: {c} scale: {positive}", 0.5, 3),
        (f"power: 3 scale: {a}", -3, 3),
    ]
    return draw(st.sampled_from(cases))


@settings(max_examples=60, deadline=None)
@given(smooth_powers(), SHAPES, SEEDS)
def test_equals_reference_and_central_differences(
    case: tuple[str, float, float], shape: list[int], seed: int
) -> None:
    text, low, high = case
    check_neuron(f'type: "Power" power_param {{ {text} }}', low, high, shape, seed)


@pytest.mark.parametrize(
    ("text", "x", "y", "slope"),
    [
        ('type: "Power" power_param { power: 0 }', [-1, 0, np.inf], [1, 1, 1], [0, 0, 0]),
        ('type: "Power" power_param { power: 0.5 scale: 0 shift: 4 }', [-1, 0, np.inf], [2, 2, 2], [0, 0, 0]),
        ('type: "Power" power_param { power: 2 scale: 3 shift: 1 }', [0, 1, -1], [1, 16, 4], [6, 24, -12]),
        ('type: "Power" power_param { power: 3 }', [0, 1, -2], [0, 1, -8], [np.nan, 3, 12]),
        ('type: "Power" power_param { power: 0.5 }', [-1, 1, 4], [np.nan, 1, 2], [np.nan, 0.5, 0.25]),
    ],
)
def test_single_values(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    check_values(text, x, y, slope)


def test_the_identity_costs_no_node() -> None:
    g = GraphBuilder()
    assert parse('type: "Power"').emit(g, [Value("x", (None, 3))], [], []).tops == ("x",)
    assert not g.nodes

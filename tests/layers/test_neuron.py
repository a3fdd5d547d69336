"""The elementwise layers without parameters: against their references, and Caffe's rules at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Layer, Needed

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=5)
SEEDS = st.integers(0, 2**32 - 1)
PARAMETERS = st.floats(-2, 2, width=32).filter(lambda v: v == 0 or abs(v) > 0.05)
POSITIVE = st.floats(0.25, 3, width=32)


@st.composite
def smooth_layers(draw: st.DrawFn) -> tuple[str, float, float]:
    """A layer's definition, and a range of x in which its only kink is 0 and all values are moderate."""
    a, b, c = draw(PARAMETERS), draw(PARAMETERS), draw(PARAMETERS)
    positive = draw(POSITIVE)
    base = draw(st.sampled_from([-1.0, 0.5, 2.0, 10.0]))
    return draw(
        st.sampled_from(
            [
                ('type: "AbsVal"', -3, 3),
                ('type: "BNLL"', -60, 60),
                (f'type: "ELU" elu_param {{ alpha: {a} }}', -4, 4),
                (f'type: "Exp" exp_param {{ base: {base} scale: {a} shift: {b} }}', -2, 2),
                (f'type: "Log" log_param {{ base: {base} scale: {positive} shift: 0.5 }}', 0, 4),
                (f'type: "Power" power_param {{ scale: {a} shift: {b} }}', -3, 3),
                (f'type: "Power" power_param {{ power: 2 scale: {a} shift: {b} }}', -3, 3),
                (f'type: "Power" power_param {{ power: {c} scale: {positive} shift: 0.5 }}', 0, 3),
                (f'type: "Power" power_param {{ power: {c} scale: {positive} }}', 0.5, 3),
                (f'type: "Power" power_param {{ power: 3 scale: {a} }}', -3, 3),
                (f'type: "ReLU" relu_param {{ negative_slope: {a} }}', -3, 3),
                ('type: "ReLU"', -3, 3),
                ('type: "Sigmoid"', -9, 9),
                (f'type: "Swish" swish_param {{ beta: {a} }}', -5, 5),
                ('type: "TanH"', -4, 4),
            ]
        )
    )


@settings(max_examples=120, deadline=None)
@given(smooth_layers(), SHAPES, SEEDS)
def test_equals_reference_and_central_differences(
    case: tuple[str, float, float], shape: list[int], seed: int
) -> None:
    text, low, high = case
    layer = parse(text)
    x = tie_free(np.random.default_rng(seed), shape, low, high)
    check_forward(layer, [x], dims=[tuple(None if i != 1 else s for i, s in enumerate(shape))])
    check_gradient(layer, [x], most=30)


@settings(max_examples=30, deadline=None)
@given(PARAMETERS, st.floats(0.125, 3, width=32), SHAPES, SEEDS)
def test_clip(low: float, width: float, shape: list[int], seed: int) -> None:
    layer = parse(f'type: "Clip" clip_param {{ min: {low} max: {low + width} }}')
    x = tie_free(np.random.default_rng(seed), shape, -4, 4)
    assume(min(np.abs(x - low).min(), np.abs(x - low - width).min()) > 1e-3)
    check_forward(layer, [x], dims=[(None,) * len(shape)])
    check_gradient(layer, [x])


@settings(max_examples=20, deadline=None)
@given(PARAMETERS, SHAPES, SEEDS)
def test_threshold(threshold: float, shape: list[int], seed: int) -> None:
    layer = parse(f'type: "Threshold" threshold_param {{ threshold: {threshold} }}')
    x = tie_free(np.random.default_rng(seed), shape, -2, 2)
    x.flat[0] = threshold
    (y,) = check_forward(layer, [x], dims=[(None,) * len(shape)])
    assert y.flat[0] == 0, "Caffe asks for strictly greater"


def test_threshold_has_no_gradient() -> None:
    layer = parse('type: "Threshold"')
    assert not layer.has_gradient
    with pytest.raises(UnsupportedError, match="Threshold: no gradient rule"):
        run_gradient(layer, [np.ones(2, np.float32)], [], [np.ones(2, np.float32)])


EDGES = [
    # definition, x, y, dy/dx as Caffe has it
    ('type: "ReLU"', [-1, 0, 2], [0, 0, 2], [0, 0, 1]),
    ('type: "ReLU" relu_param { negative_slope: 0.5 }', [-2, 0, 2], [-1, 0, 2], [0.5, 0.5, 1]),
    ('type: "ReLU" relu_param { negative_slope: -1 }', [-2, 0, 2], [2, 0, 2], [-1, -1, 1]),
    ('type: "ReLU"', [-np.inf, np.inf, 1], [0, np.inf, 1], [0, 1, 1]),
    ('type: "AbsVal"', [-2, 0, 2], [2, 0, 2], [-1, 0, 1]),
    ('type: "ELU" elu_param { alpha: 0.5 }', [0, 3, -200], [0, 3, -0.5], [0.5, 1, 0]),
    ('type: "BNLL"', [-200, 0, 200], [0, np.log(2), 200], [0, 0.5, 1]),
    ('type: "Sigmoid"', [-200, 0, 200], [0, 0.5, 1], [0, 0.25, 0]),
    ('type: "TanH"', [-200, 0, 200], [-1, 0, 1], [0, 1, 0]),
    ('type: "Clip" clip_param { min: -1 max: 2 }', [-1, 2, 2.5], [-1, 2, 2], [1, 1, 0]),
    ('type: "Clip" clip_param { min: 2 max: -1 }', [-1, 0.5, 2], [2, 2, 2], [0, 0, 0]),
    ('type: "Power" power_param { power: 0 }', [-1, 0, np.inf], [1, 1, 1], [0, 0, 0]),
    ('type: "Power" power_param { power: 0.5 scale: 0 shift: 4 }', [-1, 0, np.inf], [2, 2, 2], [0, 0, 0]),
    ('type: "Power" power_param { power: 2 scale: 3 shift: 1 }', [0, 1, -1], [1, 16, 4], [6, 24, -12]),
    ('type: "Power" power_param { power: 3 }', [0, 1, -2], [0, 1, -8], [np.nan, 3, 12]),
    ('type: "Power" power_param { power: 0.5 }', [-1, 1, 4], [np.nan, 1, 2], [np.nan, 0.5, 0.25]),
    ('type: "Exp" exp_param { base: 2 shift: 1 }', [0, 1, 2], [2, 4, 8], np.log(2) * np.array([2, 4, 8])),
    ('type: "Exp" exp_param { base: 1 }', [0, 1, 2], [1, 1, 1], [0, 0, 0]),
    (
        'type: "Log" log_param { base: 2 }',
        [0.5, 1, 0],
        [-1, 0, -np.inf],
        [2 / np.log(2), 1 / np.log(2), np.inf],
    ),
]


@pytest.mark.parametrize(("text", "x", "y", "slope"), EDGES)
def test_edges(text: str, x: list[float], y: list[float], slope: list[float]) -> None:
    layer = parse(text)
    bottom = np.array(x, np.float32)
    (top,) = check_forward(layer, [bottom])
    np.testing.assert_allclose(top, y, rtol=1e-6, atol=1e-7)
    (dx,) = run_gradient(layer, [bottom], [], [np.ones(3, np.float32)])
    np.testing.assert_allclose(dx, slope, rtol=1e-6, atol=1e-7)


def test_identity_costs_no_node() -> None:
    g = GraphBuilder()
    assert parse('type: "Power"').emit(g, [Value("x", (None, 3))], [], []).tops == ("x",)
    assert not g.nodes


@pytest.mark.parametrize("name", ["Swish", "Log", "Sigmoid"])
def test_unneeded_gradient_adds_no_node(name: str) -> None:
    layer, g = parse(f'type: "{name}"'), GraphBuilder()
    emitted = layer.emit(g, [Value("x", (2, 3))], [], [])
    count = len(g.nodes)
    assert layer.grad(g, emitted.saved, ["dy"], Needed((False,), ())).bottoms == (None,)
    assert layer.grad(g, emitted.saved, [None], Needed((True,), ())).bottoms == (None,)
    assert len(g.nodes) == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('type: "Exp" exp_param { base: 0 }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: -2 }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: nan }', "base must be strictly positive"),
        ('type: "Exp" exp_param { base: inf }', "Inf result: log"),
        ('type: "Log" log_param { base: 0 }', "base must be strictly positive"),
        ('type: "Log" log_param { base: 1 }', "Inf result: 1/log"),
    ],
)
def test_bases_that_caffe_refuses(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(text)


def test_in_place_as_in_caffe() -> None:
    def runs(name: str) -> Layer:
        return parse(f'type: "{name}"')

    assert not runs("AbsVal").in_place
    for name in ("BNLL", "ELU", "Exp", "Log", "Power", "ReLU", "Sigmoid", "Swish", "TanH", "Threshold"):
        assert runs(name).in_place


@pytest.mark.parametrize("kind", ["Sigmoid", "Swish"])
def test_small_values_of_the_logistic_function_are_right(kind: str) -> None:
    """A gate that is nearly shut: the runtime's own Sigmoid is off by 1% and more at -10."""
    x = np.linspace(-15, -2, 200, dtype=np.float32)
    check_forward(parse(f'type: "{kind}"'), [x], rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("kind", "slope"), [("BNLL", lambda s: s), ("Sigmoid", lambda s: s * (1 - s)), ("Swish", None)]
)
def test_small_slopes_are_right(kind: str, slope: Any) -> None:
    x = np.linspace(-40, -2, 200, dtype=np.float32)
    s = 1 / (1 + np.exp(-x.astype(np.float64)))
    expected = slope(s) if slope else s + x * s * (1 - s)
    (dx,) = run_gradient(parse(f'type: "{kind}"'), [x], [], [np.ones_like(x)])
    np.testing.assert_allclose(dx, expected, rtol=3e-6)

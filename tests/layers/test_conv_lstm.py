"""ConvLSTM: against its reference, slopes, and a step with convolutions written out here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed

CONV = "lstm_conv_param { num_output: 2 kernel_size: 3 pad: 1 }"


def layer_of(text: str = CONV, exposed: bool = False) -> Layer:
    tops = 'top: "y" ' + 'top: "h" top: "c" recurrent_param { expose_hidden: true } ' * exposed
    return parse(f'type: "ConvLSTM" {tops} {text}')


def filled(layer: Layer, bottoms: Sequence[np.ndarray], seed: int = 5) -> list[np.ndarray]:
    definitions = layer.param_defs([b.shape for b in bottoms])
    return [values(seed + i, d.shape) for i, d in enumerate(definitions)]


@dataclass(frozen=True)
class Case:
    layer: Layer
    bottoms: list[np.ndarray]
    states: list[np.ndarray]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 3))
    length, streams, channels, height, width = (draw(st.integers(1, most)) for most in (4, 2, 3, 4, 4))
    exposed, ignore = draw(st.booleans()), draw(st.booleans())
    axis = draw(st.integers(0, 4))
    number = draw(st.integers(0, 5 - axis))
    forms = ["kernel_size: 1", "kernel_size: 3 pad: 1", "kernel_size: 3 pad: 2 dilation: 2"]
    ours, other = (f"num_output: {size} {draw(st.sampled_from(forms))}" for _ in range(2))
    text = f"lstm_conv_param {{ {ours} }}"
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["input", "hidden"]))
        text = f'lstm_conv_param {{ {ours} type: "{kind}" }} lstm_conv_param {{ {other} }}'
    text += (
        f" lstm_debug_param {{ axis_hadamard: {axis} num_axes_hadamard: {number}"
        f" disable_hadamard: {str(draw(st.booleans())).lower()} ignore_x: {str(ignore).lower()} }}"
    )
    layer = layer_of(text, exposed)
    seed = draw(seeds)
    marks = st.lists(st.sampled_from([0, 1]), min_size=streams, max_size=streams)
    cont = np.array(draw(st.lists(marks, min_size=length, max_size=length)), np.float32)
    state = (1, streams, size, height, width)
    firsts = [values(seed + 1 + i, state) for i in range(2)]
    bottoms = [values(seed, (length, streams, channels, height, width)), cont]
    return Case(layer, [*bottoms, *firsts] if exposed else bottoms, [] if exposed else firsts)


@few
@given(cases())
def test_any_shape(case: Case) -> None:
    params = filled(case.layer, case.bottoms)
    assert len(case.layer.state_defs([b.shape for b in case.bottoms])) == len(case.states)
    check_forward(case.layer, case.bottoms, params, case.states)
    first, *ends = case.layer.out_shapes([b.shape for b in case.bottoms])
    flags = (True, *[False] * (len(case.bottoms) - 1))
    check_gradient(
        case.layer,
        case.bottoms,
        params,
        case.states,
        d_tops=[values(9, first), *[None] * len(ends)],
        needed=Needed(flags, (True,) * len(params)),
        most=15,
    )


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def convolved(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Of one stream, (C, H, W), with a kernel of 3 and a padding of 1."""
    padded = np.pad(np.float64(x), [(0, 0), (1, 1), (1, 1)])
    y = np.zeros((len(weight), *x.shape[1:]))
    for at in np.ndindex(y.shape):
        out, row, column = at
        y[at] = (padded[:, row : row + 3, column : column + 3] * weight[out]).sum()
    return y


@pytest.mark.parametrize("mark", [0, 1])
def test_one_step_by_hand(mark: int) -> None:
    """The weights come gate by gate in the order i, f, o, g. A new sequence loses h and the cells, but the
    gates see the cells before."""
    x, cont = values(0, (1, 1, 3, 4, 2)), np.full((1, 1), mark, np.float32)
    h, c = values(1, (1, 1, 2, 4, 2)), values(2, (1, 1, 2, 4, 2))
    layer = layer_of()
    params = filled(layer, [x, cont])
    shapes = [(2, 3, 3, 3)] * 4 + [(2, 2, 3, 3), (2,)] * 4 + [(4, 2)] * 3
    assert [p.shape for p in params] == shapes
    (y,) = check_forward(layer, [x, cont], params, [h, c])
    of_x, weights, biases, seen = params[:4], params[4:12:2], params[5:12:2], [*params[12:], 0]
    gates = [
        convolved(x[0, 0], of_x[k]) + convolved(mark * h[0, 0], weights[k]) + biases[k][:, None, None]
        + seen[k] * c[0, 0]
        for k in range(4)
    ]  # fmt: skip
    i, f, o, g = gates
    cells = mark * sigmoid(f) * c[0, 0] + sigmoid(i) * np.tanh(g)
    np.testing.assert_allclose(y[0, 0], sigmoid(o) * np.tanh(cells), rtol=1e-5)


def test_parameters_and_cost() -> None:
    text = "lstm_conv_param { num_output: 2 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } }"
    shapes = [(3, 2, 5, 4, 4), (3, 2)]
    layer = layer_of(text)
    fillers = [(d.filler.type, d.filler.value) for d in layer.param_defs(shapes)]
    assert fillers[4:6] == [("xavier", 0), ("constant", 0)]
    assert fillers[12:] == [("constant", 1)] * 3
    assert layer.macs(shapes) == 6 * 16 * (8 * 9 * (5 + 2) + 3 * 2)
    less = layer_of(text + " lstm_debug_param { ignore_x: true disable_hadamard: true }")
    assert [d.shape for d in less.param_defs(shapes)] == [(2, 2, 3, 3), (2,)] * 4
    assert less.macs(shapes) == 6 * 16 * 8 * 9 * 2


def test_no_gradient_passes_through_exposed_states() -> None:
    layer = layer_of(exposed=True)
    state = values(1, (1, 2, 2, 3, 3))
    bottoms = [values(0, (2, 2, 1, 3, 3)), np.ones((2, 2), np.float32), state, state]
    params = filled(layer, bottoms)
    nothing = run_gradient(layer, bottoms, params, [None, state, state])
    assert nothing == [None] * (len(bottoms) + len(params))
    got = run_gradient(layer, bottoms, params, [values(3, (2, 2, 2, 3, 3)), state, state])
    assert [d is None for d in got] == [False, True, True, True, *[False] * len(params)]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", UnsupportedError, "needs lstm_conv_param, once or twice"),
        ("lstm_conv_param { num_output: 2 kernel_size: 1 group: 2 }", UnsupportedError, "group 2"),
        (f"{CONV} lstm_debug_param {{ expose: 'c_t=1' }}", UnsupportedError, "expose is not supported"),
        ("lstm_conv_param { kernel_size: 1 }", NetError, r"num_output must be .* got \[0\]"),
        (f"{CONV} {CONV.replace('2', '4')}", NetError, r"got \[2, 4\]"),
        (CONV.replace("pad", "type: 'hidden' pad"), NetError, "alone leaves the other convolution open"),
        (CONV.replace("pad", "bias_term: false pad"), NetError, "bias_term must be true"),
        (f"{CONV} top: 'more'", NetError, r"produces 1 top blob\(s\)"),
    ],
)
def test_refuses(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        layer_of(text)


@pytest.mark.parametrize(
    ("text", "bottoms", "error", "message"),
    [
        (CONV, [(1, 1, 1, 3, 3), (1, 1), (1, 1, 2)], NetError, r"takes 2 bottom blob\(s\)"),
        (CONV, [(1, 1, 9), (1, 1)], ShapeError, r"must be \(T, N, C, H, W\) and \(T, N\), got 1 1 9"),
        (CONV.replace("pad: 1", ""), [(1, 1, 1, 5, 5), (1, 1)], ShapeError, "must keep height and width"),
        (
            f"{CONV} lstm_debug_param {{ num_axes_hadamard: 3 }}",
            [(1, 1, 1, 3, 3), (1, 1)],
            ShapeError,
            "axis_hadamard 3 and num_axes_hadamard 3 go beyond",
        ),
    ],
)
def test_refuses_shapes(
    text: str, bottoms: list[tuple[int, ...]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        layer_of(text).out_shapes(bottoms)


def test_refuses_states_of_other_shapes() -> None:
    with pytest.raises(ShapeError, match=r"bottom\[3\] shape must match .* 1 1 2 3 3 \(18\)"):
        layer_of(exposed=True).out_shapes([(1, 1, 1, 3, 3), (1, 1), (1, 1, 2, 3, 3), (1, 1, 2, 3, 4)])

"""Lstm: against its reference, central differences and junhyukoh's rules, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def lstm(text: str) -> Layer:
    return parse(f'type: "Lstm" lstm_param {{ {text} }}')


def blobs(seed: int, inputs: int, outputs: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [tie_free(rng, shape) for shape in ((4 * outputs, inputs), (4 * outputs, outputs), (4 * outputs,))]


def by_hand(x: np.ndarray, cont: np.ndarray, params: list[np.ndarray], state: np.ndarray) -> list[np.ndarray]:
    """h at every step for x (T, N, I), cont (T, N) and the state (2, N, D)."""
    (weight, hidden, bias), (h, c) = (
        (np.asarray(p, np.float64) for p in params),
        np.asarray(state, np.float64),
    )
    steps = []
    for values, goes_on in zip(np.asarray(x, np.float64), cont[..., None], strict=True):
        gates = values @ weight.T + bias + goes_on * (h @ hidden.T)
        i, f, o, g = np.split(gates, 4, axis=1)
        c = goes_on * c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        steps.append(h)
    return steps


sizes = st.tuples(*[st.integers(1, 4)] * 4)


@few
@given(sizes, st.booleans(), seeds)
def test_every_call_begins_without_a_second_bottom(sizes: tuple[int, ...], rows: bool, seed: int) -> None:
    steps, streams, inputs, outputs = sizes
    x = tie_free(np.random.default_rng(seed), (steps, streams, inputs))
    params = blobs(seed, inputs, outputs)
    cont = np.ones((steps, streams))
    cont[0] = 0
    wanted = by_hand(x, cont, params, np.zeros((2, streams, outputs)))
    if rows:
        layer, x = lstm(f"num_output: {outputs} batch_size: {streams}"), x.reshape(-1, inputs)
    else:
        layer = lstm(f"num_output: {outputs}")
    assert layer.state_defs([x.shape]) == ()
    (top,) = check_forward(layer, [x], params)
    np.testing.assert_allclose(top.reshape(steps, streams, outputs), wanted, rtol=1e-4, atol=1e-6)
    check_gradient(layer, [x], params)


@few
@given(sizes, seeds)
def test_what_goes_on(sizes: tuple[int, ...], seed: int) -> None:
    steps, streams, inputs, outputs = sizes
    rng = np.random.default_rng(seed)
    x, params = tie_free(rng, (steps, streams, inputs)), blobs(seed, inputs, outputs)
    cont = rng.integers(0, 2, (steps, streams)).astype(np.float32)
    state = tie_free(rng, (2, 1, streams, outputs))
    layer = lstm(f"num_output: {outputs}")
    assert [d.name for d in layer.state_defs([x.shape, cont.shape])] == ["h", "c"]
    (top,) = check_forward(layer, [x, cont], params, list(state))
    np.testing.assert_allclose(top, by_hand(x, cont, params, state[:, 0]), rtol=1e-4, atol=1e-6)
    check_gradient(layer, [x, cont], params, list(state))


def test_features_of_more_axes() -> None:
    """(T * N, C, H, W), the default batch of 1."""
    layer = lstm("num_output: 3")
    x, params = tie_free(np.random.default_rng(0), (4, 2, 3, 2)), blobs(0, 12, 3)
    (top,) = check_forward(layer, [x], params)
    cont = np.array([[0], [1], [1], [1]])
    wanted = np.concatenate(by_hand(x.reshape(4, 1, 12), cont, params, np.zeros((2, 1, 3))))
    np.testing.assert_allclose(top, wanted, rtol=1e-4)
    check_gradient(layer, [x], params)


def test_the_gradient_has_a_bound() -> None:
    """At one step it is that of the gates; at more steps, what has been cut goes on."""
    params = blobs(1, 2, 2)
    x = tie_free(np.random.default_rng(1), (1, 1, 2))
    free, cut = (
        run_gradient(lstm(f"num_output: 2 {text}"), [x], params, [np.float32([[[9, 9]]])])
        for text in ("", "clipping_threshold: 0.5")
    )
    assert np.abs(free[3]).max() > 0.5
    np.testing.assert_allclose(cut[3], np.clip(free[3], -0.5, 0.5), rtol=1e-5)
    np.testing.assert_allclose(cut[0].reshape(-1), cut[3] @ params[0], rtol=1e-4)
    x = tie_free(np.random.default_rng(1), (2, 1, 2))
    d = np.float32([[[0, 0]], [[9, 9]]])
    free, cut = (
        run_gradient(lstm(f"num_output: 2 {text}"), [x], params, [d])
        for text in ("", "clipping_threshold: 0.1")
    )
    assert np.abs(cut[3]).max() <= 0.2 + 1e-6
    assert not np.allclose(cut[0][0], free[0][0])


def test_lstm_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': lstm_param: num_output must be positive"):
        lstm("")
    with pytest.raises(NetError, match="layer 'l': lstm_param: batch_size must be positive"):
        lstm("num_output: 2 batch_size: 0")
    layer = lstm("num_output: 2 batch_size: 3")
    assert layer.out_shapes([(6, 2, 5)]) == ((6, 2),)
    with pytest.raises(ShapeError, match=r"multiple of batch size \(5 rows, batch_size 3\)"):
        layer.out_shapes([(5, 2)])
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be"):
        layer.out_shapes([(6,)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must hold 6 numbers"):
        layer.out_shapes([(6, 2), (3,)])

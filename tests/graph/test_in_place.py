"""Gradients where a layer works in place: Caffe's backward finds what the blob holds in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vggrepro.errors import NetError
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.net import Net, load_net
from vggrepro.runtime.session import Session

SHAPE = (2, 3, 4, 5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def net_of(tmp_path: Path, *layers: str) -> Net:
    dims = " ".join(f"dim: {size}" for size in SHAPE)
    made = [f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}', *layers]
    made.append('layer { name: "end" type: "Power" bottom: "a" top: "end" power_param { scale: 1 } }')
    path = tmp_path / "net.prototxt"
    path.write_text("\n".join(made))
    return load_net(path)


def layer(kind: str, bottom: str, more: str = "") -> str:
    return f'layer {{ name: "{kind}_{bottom}" type: "{kind}" bottom: "{bottom}" top: "a" {more} }}'


def gradient(net: Net, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    feeds = {"x": x, "d:end": dy, **net.params}
    return Session(build_gradient(net, inputs=["x"]), threads=1).run(feeds)["d:x"]


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *SHAPE)).astype(np.float32)
    return x, dy


Slope = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""dy / dx from the bottom, and from what the blob holds in the end."""

READING_THE_TOP: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], Slope]] = {
    "Sigmoid": ("", sigmoid, lambda _, y: y * (1 - y)),
    "TanH": ("", np.tanh, lambda _, y: 1 - y**2),
    "Exp": ("", np.exp, lambda _, y: y),
    "ELU": ("", lambda x: np.where(x > 0, x, np.expm1(x)), lambda x, y: np.where(x > 0, 1, y + 1)),
    "Power": ("power_param { power: 3 }", lambda x: x**3, lambda x, y: 3 * y / x),
    "Swish": ("", lambda x: x * sigmoid(x), lambda x, y: y + sigmoid(x) * (1 - y)),
}


@pytest.mark.parametrize("kind", READING_THE_TOP)
def test_a_top_that_the_next_layer_changes(tmp_path: Path, kind: str) -> None:
    more, forward, slope = READING_THE_TOP[kind]
    net = net_of(tmp_path, layer(kind, "x", more), layer("Sigmoid", "a"))
    x, dy = data()
    last = sigmoid(forward(x.astype(np.float64)))
    expected = dy * last * (1 - last) * slope(x.astype(np.float64), last)
    np.testing.assert_allclose(gradient(net, x, dy), expected, rtol=1e-5, atol=2e-6)


def test_a_normalised_top_that_the_next_layer_changes(tmp_path: Path) -> None:
    net = net_of(tmp_path, layer("MVN", "x"), layer("ReLU", "a"))
    x, dy = data()
    centred = x - x.mean((2, 3), keepdims=True, dtype=np.float64)
    deviation = np.sqrt((centred**2).mean((2, 3), keepdims=True))
    y = np.maximum(centred / deviation, 0)
    dy = dy * (y > 0)
    along = y * (y * dy).mean((2, 3), keepdims=True)
    expected = (dy - dy.mean((2, 3), keepdims=True) - along) / deviation
    np.testing.assert_allclose(gradient(net, x, dy), expected, rtol=1e-5, atol=2e-6)


def test_softmax_whose_top_the_next_layer_changes(tmp_path: Path) -> None:
    net = net_of(tmp_path, layer("Softmax", "x"), layer("TanH", "a"))
    x, dy = data()
    prob = np.exp(x.astype(np.float64))
    y = np.tanh(prob / prob.sum(1, keepdims=True))
    inner = dy * (1 - y**2)
    expected = y * (inner - (inner * y).sum(1, keepdims=True))
    np.testing.assert_allclose(gradient(net, x, dy), expected, rtol=1e-5, atol=2e-6)


def test_lrn_whose_top_the_next_layer_changes(tmp_path: Path) -> None:
    net = net_of(
        tmp_path, layer("LRN", "x", "lrn_param { local_size: 3 alpha: 3 beta: 2 }"), layer("TanH", "a")
    )
    x, dy = data()
    wide = x.astype(np.float64)
    band = np.abs(np.subtract.outer(np.arange(3), np.arange(3))) <= 1
    scale = 1 + np.einsum("kc,nchw->nkhw", band, wide**2)
    y = np.tanh(wide / scale**2)
    inner = dy * (1 - y**2)
    expected = inner / scale**2 - 4 * wide * np.einsum("kc,nchw->nkhw", band, inner * y / scale)
    np.testing.assert_allclose(gradient(net, x, dy), expected, rtol=1e-5, atol=2e-6)


READING_THE_BOTTOM: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], Slope]] = {
    "BNLL": ("", lambda x: np.logaddexp(0, x), lambda _, y: sigmoid(y)),
    "Clip": ("clip_param { min: -3 max: 0.5 }", lambda x: np.clip(x, -3, 0.5), lambda _, y: np.ones_like(y)),
    "ReLU": (
        "relu_param { negative_slope: -2 }",
        lambda x: np.where(x > 0, x, -2 * x),
        lambda _, y: np.ones_like(y),
    ),
}


@pytest.mark.parametrize("kind", READING_THE_BOTTOM)
def test_a_bottom_that_the_layer_itself_changes(tmp_path: Path, kind: str) -> None:
    more, forward, slope = READING_THE_BOTTOM[kind]
    net = net_of(tmp_path, layer("Power", "x", "power_param { shift: 0 }"), layer(kind, "a", more))
    x, dy = data()
    y = forward(x.astype(np.float64))
    np.testing.assert_allclose(gradient(net, x, dy), dy * slope(x, y), rtol=1e-5, atol=2e-6)


def test_relu_before_a_layer_that_makes_all_positive(tmp_path: Path) -> None:
    """In place ReLU reads what the next layer left; out of place it has the bottom still."""
    x, dy = data()
    y = sigmoid(np.maximum(x.astype(np.float64), 0))
    within = net_of(tmp_path, layer("Power", "x"), layer("ReLU", "a"), layer("Sigmoid", "a"))
    np.testing.assert_allclose(gradient(within, x, dy), dy * y * (1 - y), rtol=1e-5, atol=2e-6)
    behind = net_of(tmp_path, layer("ReLU", "x"), layer("Sigmoid", "a"))
    np.testing.assert_allclose(gradient(behind, x, dy), dy * y * (1 - y) * (x > 0), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Log", "log_param { shift: 5 }"),
        ("Power", "power_param { power: 2 shift: 5 }"),
        ("MVN", ""),
        ("LRN", "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }"),
    ],
)
def test_where_caffe_loses_the_gradient_it_is_that_of_the_layer_out_of_place(
    tmp_path: Path, kind: str, more: str
) -> None:
    x, dy = data()
    within = net_of(tmp_path, layer("Power", "x"), layer(kind, "a", more))
    behind = net_of(tmp_path, layer(kind, "x", more))
    np.testing.assert_array_equal(gradient(within, x, dy), gradient(behind, x, dy))
    run = [Session(build_forward(net), threads=1).run({"x": x})["end"] for net in (within, behind)]
    np.testing.assert_array_equal(*run)


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("LRN", "", "LRN Layer does not allow in-place computation"),
        ("Eltwise", 'bottom: "x" eltwise_param { operation: MAX }', "Eltwise MAX cannot work in place"),
    ],
)
def test_layers_that_would_read_what_they_overwrote(
    tmp_path: Path, kind: str, more: str, message: str
) -> None:
    with pytest.raises(NetError, match=message):
        net_of(tmp_path, layer("Power", "x"), layer(kind, "a", more))

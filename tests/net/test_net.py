"""A net as a value: its readers, its parameters, its shapes at other inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError, ShapeError, UnknownLayerError, UnsupportedError
from vggrepro.graph.reference import reference_forward
from vggrepro.net.net import build

SHARED = 'param { name: "w" } inner_product_param { num_output: 2 bias_term: false }'
NET = image(1, 2, name="a") + image(1, 2, name="b") + layer("p", "InnerProduct", "a", more=SHARED)


def test_shared_parameters_are_set_under_every_key(tmp_path: Path) -> None:
    net = net_of(tmp_path, NET + layer("q", "InnerProduct", "b", more=SHARED))
    assert [use.owner for use in net.param_uses] == ["p:0", "p:0"]
    weight = np.full((2, 2), 3, np.float32)
    changed = net.with_params({"p:0": weight})
    np.testing.assert_array_equal(changed.params["q:0"], weight)
    assert (net.params["p:0"] != weight).any()


def test_readers_are_named_in_order(tmp_path: Path) -> None:
    text = image(1, 2) + layer("r", "ReLU", "data") + layer("s", "Eltwise", "data r")
    net = net_of(tmp_path, text)
    assert [reader.name for reader in net.readers("data")] == ["r", "s"]
    assert net.readers("s") == []


def test_other_input_shapes(tmp_path: Path) -> None:
    text = image(1, 3, 8, 8) + layer(
        "p", "Pooling", "data", more="pooling_param { kernel_size: 2 stride: 2 }"
    )
    net = net_of(tmp_path, text)
    other = net.reshape({"data": (5, 3, 12, 6)})
    assert (other.inputs, other.outputs) == ({"data": (5, 3, 12, 6)}, {"p": (5, 3, 6, 3)})
    with pytest.raises(NetError, match="no input 'image'; its inputs are"):
        net.reshape({"image": (1,)})


def test_parameters_must_still_fit_other_input_shapes(tmp_path: Path) -> None:
    text = image(1, 6) + layer("p", "InnerProduct", "data", more="inner_product_param { num_output: 2 }")
    with pytest.raises(ShapeError, match=r"^layer 'p': parameter p:0 has shape \(2, 6\), these inputs need"):
        net_of(tmp_path, text).reshape({"data": (1, 7)})


def test_everything_unsupported_is_named_at_once() -> None:
    spp = "spp_param { pyramid_height: 1 pool: STOCHASTIC }"
    text = image(1, 2, 3, 3) + layer("x", "Odd", "data") + layer("y", "SPP", "data", more=spp)
    with pytest.raises(UnknownLayerError) as caught:
        build(parse_net(text), "TEST")
    message = str(caught.value)
    assert message.startswith("layer 'x': Unknown layer type: Odd; layer 'y': spp_param: pool STOCHASTIC")
    assert caught.value.types == ("Odd",)
    with pytest.raises(UnsupportedError, match=r"^layer 'y': spp_param") as other:
        build(parse_net(image(1, 2, 3, 3) + layer("y", "SPP", "data", more=spp)), "TEST")
    assert not isinstance(other.value, UnknownLayerError)


def test_what_is_unknown_comes_before_what_is_wrong() -> None:
    wrong = "layer { name: 'b' type: 'ReLU' bottom: 'x' bottom: 'x' top: 'y' }"
    unknown = "layer { name: 'c' type: 'KernelLoss' bottom: 'x' top: 'k' }"
    with pytest.raises(UnknownLayerError, match=r"^layer 'c': Unknown layer type: KernelLoss"):
        build(parse_net(wrong + unknown), "TEST")
    with pytest.raises(NetError, match=r"^layer 'b': ReLU Layer takes 1 bottom"):
        build(parse_net(wrong), "TEST")


def test_loss_weights_are_one_for_each_top() -> None:
    text = image(2, 3) + layer("l", "EuclideanLoss", "data data", more="loss_weight: 1 loss_weight: 2")
    with pytest.raises(NetError, match=r"^layer 'l': loss_weight must be .* \(1 tops vs. 2 weights\)"):
        build(parse_net(text), "TEST")


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"q:0": np.ones((2, 2))}, NetError, r"no parameter 'q:0'; it has p:0"),
        ({"p": np.ones((2, 2))}, NetError, r"no parameter 'p'; it has p:0"),
        ({"p:0": np.ones((1, 1, 2, 2))}, ShapeError, r"'p:0': shape \(1, 1, 2, 2\), expected \(2, 2\)"),
        ({"p:0": np.ones(4)}, ShapeError, r"'p:0': shape \(4,\), expected \(2, 2\)"),
    ],
)
def test_values_that_the_net_has_no_place_for(
    tmp_path: Path, params: dict[str, np.ndarray], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        net_of(tmp_path, NET).with_params(params)


def test_a_shared_parameter_under_another_name(tmp_path: Path) -> None:
    net = net_of(tmp_path, NET + layer("q", "InnerProduct", "b", more=SHARED))
    changed = net.with_params({"q:0": [[1, 2], [3, 4]]})
    for key in ("p:0", "q:0"):
        np.testing.assert_array_equal(changed.params[key], [[1, 2], [3, 4]])
        assert changed.params[key].dtype == np.float32
    both = net.with_params({"q:0": np.zeros((2, 2)), "p:0": np.ones((2, 2))})
    np.testing.assert_array_equal(both.params["q:0"], np.ones((2, 2)))


TWICE = [
    layer("c", "InnerProduct", "data", "x", SHARED) + layer("c", "InnerProduct", "x", "y", SHARED),
    layer("c", "InnerProduct", "data", "x", SHARED) + layer("c", "ReLU", "x", "y"),
    layer("c", "ReLU", "data", "x") + layer("c", "InnerProduct", "x", "y", SHARED),
    layer("c", "Dropout", "data", "x") + layer("c", "Dropout", "x", "y"),
]


@pytest.mark.parametrize("text", TWICE)
def test_two_layers_of_one_name(text: str) -> None:
    """Weights and states are found by the name."""
    with pytest.raises(NetError, match=r"layers 2 \(\w+\) and 3 \(\w+\) are both called 'c'"):
        build(parse_net(image(1, 2) + text), "TRAIN")


def test_layers_that_only_compute_may_share_a_name(tmp_path: Path) -> None:
    """In place on one blob too, and as losses without a name for their tops."""
    text = (
        image(2, 3)
        + layer("r", "ReLU", "data", "x")
        + layer("r", "Power", "x", "x", "power_param { scale: 2 }")
    )
    text += layer("r", "Power", "x", "x", "power_param { shift: 1 }")
    text += image(2, 3, name="t") + layer("l", "EuclideanLoss", "x t").replace('top: "l"', "") * 2
    net = net_of(tmp_path, text)
    assert len(set(net.shapes)) == len(net.shapes) == 7
    data = np.array([[1, -1, 2], [0, 3, -4]], np.float32)
    blobs = reference_forward(net, {"data": data, "t": data})
    np.testing.assert_array_equal(blobs["x"], 2 * np.maximum(data, 0) + 1)

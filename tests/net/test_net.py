"""A net as a value: its readers, its parameters, its shapes at other inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError, ShapeError, UnknownLayerError, UnsupportedError
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


def test_loss_weights_are_one_for_each_top() -> None:
    text = image(2, 3) + layer("l", "EuclideanLoss", "data data", more="loss_weight: 1 loss_weight: 2")
    with pytest.raises(NetError, match=r"^layer 'l': loss_weight must be .* \(1 tops vs. 2 weights\)"):
        build(parse_net(text), "TEST")

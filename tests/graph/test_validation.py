"""Graphs of nets that are tested on parameters from elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.errors import NetError
from vggrepro.graph.validation import build_validation
from vggrepro.net import Net
from vggrepro.runtime.session import Session

PRODUCT = "inner_product_param { num_output: 2 bias_term: false } "


def net_with_loss(tmp_path: Path, behind: str = "") -> Net:
    text = image(2, 3) + image(2, 2, name="t") + layer("ip", "InnerProduct", "data", more=PRODUCT)
    return net_of(tmp_path, text + layer("loss", "EuclideanLoss", "ip t", more="loss_weight: 2") + behind)


def test_parameters_are_inputs_and_the_batch_is_free(tmp_path: Path) -> None:
    graph = build_validation(net_with_loss(tmp_path))
    assert graph.input_names == ["data", "t", "ip:0"]
    assert graph.output_names == ["loss"]
    assert graph.is_free("data", 0)
    assert graph.is_free("t", 0)
    x, w = np.ones((5, 3), np.float32), np.full((2, 3), 2, np.float32)
    got = Session(graph, threads=1).run({"data": x, "t": np.zeros((5, 2), np.float32), "ip:0": w})
    np.testing.assert_allclose(got["loss"], 5 * 2 * 6**2 / 10)


def test_the_whole_loss_is_an_output_where_it_is_asked_for(tmp_path: Path) -> None:
    graph = build_validation(net_with_loss(tmp_path), loss=True)
    assert graph.output_names == ["loss:total", "loss"]
    assert graph.loss == "loss:total"
    feeds = {"data": np.ones((2, 3)), "t": np.zeros((2, 2)), "ip:0": np.ones((2, 3))}
    got = Session(graph, threads=1).run({name: array.astype(np.float32) for name, array in feeds.items()})
    assert got["loss:total"] == 2 * got["loss"] > 0


def test_no_loss_weight_no_loss(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(2, 3) + layer("p", "Power", "data"))
    with pytest.raises(NetError, match="no layer has a loss weight"):
        build_validation(net, loss=True)


def test_a_layer_that_fixes_the_batch(tmp_path: Path) -> None:
    """DummyData has a batch of its own, which its sum with the other input needs."""
    noise = 'layer { name: "n" type: "DummyData" top: "n" dummy_data_param { shape { dim: 2 dim: 3 } } }\n'
    net = net_of(tmp_path, image(2, 3) + noise + layer("s", "Eltwise", "data n"))
    assert not build_validation(net).is_free("data", 0)


def test_states_begin_anew_in_each_run(tmp_path: Path) -> None:
    text = image(3, 2, 4) + image(3, 2, name="cont")
    lstm = layer("l", "RNN", "data cont", more="recurrent_param { num_output: 2 }")
    graph = build_validation(net_of(tmp_path, text + lstm))
    assert graph.output_names == ["l"]
    assert graph.states == ()

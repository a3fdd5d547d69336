"""The graph of a training step, on nets small enough to compute by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.emit import RuleSet
from vggrepro.errors import NetError
from vggrepro.graph.training_step import build_training_step
from vggrepro.net import Net
from vggrepro.runtime.session import Session

PRODUCT = "inner_product_param { num_output: 2 bias_term: false } "
X = np.float32([[1, 2], [3, -1]])
T = np.float32([[0, 1], [2, 0]])


def square(tmp_path: Path, more: str = "", param: str = "", behind: str = "") -> Net:
    """The loss is the sum of (x w - t)^2 over 2 N."""
    text = image(2, 2) + image(2, 2, name="t") + layer("ip", "InnerProduct", "data", more=PRODUCT + param)
    return net_of(tmp_path, text + layer("loss", "EuclideanLoss", "ip t", more=more) + behind, phase="TRAIN")


def run(net: Net) -> dict[str, np.ndarray]:
    return Session(build_training_step(net), threads=1).run({"data": X, "t": T, **net.params})


@pytest.mark.parametrize("weight", [1, 0.5])
def test_loss_and_gradient(tmp_path: Path, weight: float) -> None:
    net = square(tmp_path, f"loss_weight: {weight}")
    got = run(net)
    off = X @ net.params["ip:0"].T - T
    np.testing.assert_allclose(got["loss"], (off**2).sum() / 4, rtol=1e-5)
    np.testing.assert_allclose(got["loss:total"], weight * got["loss"], rtol=1e-6)
    np.testing.assert_allclose(got["d:ip:0"], weight * off.T @ X / 2, rtol=1e-5, atol=1e-6)


def test_what_the_graph_says(tmp_path: Path) -> None:
    graph = build_training_step(square(tmp_path))
    assert graph.input_names == ["data", "t", "ip:0"]
    assert graph.blobs == {"loss": "loss"}
    assert graph.loss == "loss:total"
    assert graph.gradients == {"ip:0": "d:ip:0"}
    assert graph.output_names == ["loss:total", "loss", "d:ip:0"]


def test_the_gradients_that_are_known_first_come_last(tmp_path: Path) -> None:
    """The order in which ONNX Runtime's CPU computes them early. On CUDA nodes run as they stand."""
    text = image(2, 2) + image(2, 2, name="t") + layer("a", "InnerProduct", "data", more=PRODUCT)
    text += layer("b", "InnerProduct", "a", more=PRODUCT) + layer("loss", "EuclideanLoss", "b t")
    net = net_of(tmp_path, text, phase="TRAIN")

    def ends(rules: RuleSet) -> list[str]:
        nodes = build_training_step(net, rules).skeleton.graph.node
        return [name for node in nodes for name in node.output if name in ("d:a:0", "d:b:0")]

    assert ends("cpu") == ["d:a:0", "d:b:0"]
    assert ends("cuda") == ["d:b:0", "d:a:0"]


def test_frozen_parameters_are_inputs_without_gradients(tmp_path: Path) -> None:
    graph = build_training_step(square(tmp_path, param="param { lr_mult: 0 }"))
    assert graph.input_names == ["data", "t", "ip:0"]
    assert graph.gradients == {}


def test_losses_are_added_in_the_order_of_the_layers(tmp_path: Path) -> None:
    """A weighted top of several elements counts with its sum."""
    net = square(tmp_path, behind=layer("sum", "Power", "ip", more="loss_weight: 0.25"))
    got = run(net)
    expected = got["loss"] + 0.25 * (X @ net.params["ip:0"].T).sum()
    np.testing.assert_allclose(got["loss:total"], expected, rtol=1e-5)
    nodes = build_training_step(net).skeleton.graph.node
    adds = [n for n in nodes if "loss:total" in n.output]
    assert [n.op_type for n in adds] == ["Add"]


def test_one_gradient_for_a_shared_parameter(tmp_path: Path) -> None:
    shared = PRODUCT + 'param { name: "w" }'
    text = image(2, 2) + image(2, 2, name="t") + layer("a", "InnerProduct", "data", more=shared)
    text += layer("b", "InnerProduct", "a", more=shared) + layer("loss", "EuclideanLoss", "b t")
    net = net_of(tmp_path, text, phase="TRAIN")
    graph = build_training_step(net)
    assert graph.gradients == {"a:0": "d:a:0"}
    w = net.params["a:0"].astype(np.float64)
    off = X @ w.T @ w.T - T
    expected = off.T @ (X @ w.T) / 2 + (off @ w).T @ X / 2
    got = Session(graph, threads=1).run({"data": X, "t": T, "a:0": net.params["a:0"]})
    np.testing.assert_allclose(got["d:a:0"], expected, rtol=1e-4, atol=1e-6)


def test_nothing_to_train(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(2, 2) + layer("ip", "InnerProduct", "data", more=PRODUCT), phase="TRAIN")
    with pytest.raises(NetError, match="nothing to train: no layer has a loss weight"):
        build_training_step(net)

"""Gradients of weights from the factors that a training step leaves."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.caffe.text import parse_net
from vggrepro.graph.naming import arriving_name, gradient_name, read_name
from vggrepro.graph.training_step import build_training_step
from vggrepro.graph.weight_gradients import build_weight_gradients, separable_weights
from vggrepro.net import Net, build_net
from vggrepro.runtime.session import Session

NET = """
layer {{ name: "in" type: "Input" top: "x" top: "y"
  input_param {{ shape {{ dim: 3 dim: 2 dim: 20 }} shape {{ dim: 3 dim: 30 }} }} }}
layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a" {a}
  inner_product_param {{ num_output: 30 transpose: {transpose} weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "b" type: "InnerProduct" bottom: "a" top: "b" {b}
  inner_product_param {{ num_output: 30 axis: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "y" top: "loss" }}
layer {{ name: "small" type: "InnerProduct" bottom: "b" top: "small"
  inner_product_param {{ num_output: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "unread" type: "Silence" bottom: "small" }}
"""


def net_of(a: str = "", b: str = "", transpose: str = "false") -> Net:
    return build_net(parse_net(NET.format(a=a, b=b, transpose=transpose)), "TRAIN")


@pytest.mark.parametrize("transpose", ["false", "true"])
def test_the_gradients_are_those_of_the_step(transpose: str) -> None:
    net = net_of(transpose=transpose)
    keys = separable_weights(net)
    assert keys == ["a:0", "b:0"]
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(shape, np.float32) for name, shape in net.inputs.items()}
    feeds |= {use.key: net.params[use.key] for use in net.param_uses}
    whole = Session(build_training_step(net), threads=1).run(feeds)
    graph = build_training_step(net, without=keys)
    assert set(graph.gradients) == {"a:1", "b:1"}
    left = Session(graph, threads=1).run(feeds)
    names = {name(layer) for layer in "ab" for name in (read_name, arriving_name)}
    made = Session(build_weight_gradients(net, keys), threads=1).run({name: left[name] for name in names})
    assert made.keys() == {gradient_name(key) for key in keys}
    for name, gradient in made.items():
        np.testing.assert_allclose(gradient, whole[name], rtol=1e-5, atol=1e-6)


def test_shared_and_held_weights_are_not_separated() -> None:
    assert separable_weights(net_of(a="param { lr_mult: 0 }")) == ["b:0"]
    shared = 'param { name: "w" }'
    both = net_of(a=shared.replace("}", "share_mode: PERMISSIVE }"), b="")
    assert separable_weights(both) == ["a:0", "b:0"]


def test_a_weight_without_a_gradient_leaves_no_factors() -> None:
    text = NET.format(a="", b="", transpose="false").replace("num_output: 1 ", "num_output: 40 ")
    net = build_net(parse_net(text), "TRAIN")
    keys = separable_weights(net)
    assert "small:0" in keys
    outputs = {info.name for info in build_training_step(net, without=keys).skeleton.graph.output}
    assert read_name("b") in outputs and read_name("small") not in outputs

"""Binding a step's parameters and gradients in place."""

from __future__ import annotations

import numpy as np

from vggrepro.caffe.text import parse_net
from vggrepro.graph.training_step import build_training_step
from vggrepro.net import build_net
from vggrepro.runtime.device import Device
from vggrepro.runtime.session import Session
from vggrepro.training.bound_step import bind_step
from vggrepro.training.solver_arrays import SolverArrays

NET = """
layer { name: "in" type: "Input" top: "x" top: "y"
  input_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 1 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "y" top: "loss" }
"""


def test_parameters_are_read_and_gradients_written_in_place() -> None:
    device = Device("cpu", 0)
    net = build_net(parse_net(NET), "TRAIN")
    graph = build_training_step(net)
    arrays = SolverArrays.allocate(net, device, histories=1, accumulates=False)
    places = [arrays.places(array) for array in (arrays.values, arrays.total)]
    run = bind_step(
        graph, Session(graph, device, threads=1, training=True), *places, elsewhere={"loss:total"}
    )
    run.feed("x", np.ones((2, 3), np.float32))
    run.feed("y", np.zeros((2, 1), np.float32))
    arrays.write(arrays.values, {"ip:0": np.full((1, 3), 2, np.float32)})
    results = run.run()
    assert results.keys() == {"loss"}
    assert results["loss"] == 18  # two outputs of 6: 36 / 2
    assert arrays.read(arrays.total)["ip:0"].tolist() == [[6, 6, 6]]
    assert arrays.read(arrays.total)["ip:1"].tolist() == [6]

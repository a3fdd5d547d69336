"""What a finished graph takes, returns and says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from net_files import image, layer, net_of

from vggrepro.emit import GraphBuilder, Value, tensor_info
from vggrepro.graph.assembly import Outputs, assemble_graph, assemble_plain
from vggrepro.graph.forward_pass import ForwardPass, emit_forward
from vggrepro.graph.free_sizes import BATCH, FIXED, symbolic_dims
from vggrepro.graph.model import Graph
from vggrepro.net import Net
from vggrepro.runtime.session import Session
from vggrepro.version import __version__

TRAIN = (
    image(4, 3)
    + layer("bn", "BatchNorm", "data")
    + layer("drop", "Dropout", "bn")
    + layer("ip", "InnerProduct", "drop", more="inner_product_param { num_output: 2 }")
    + layer("side", "Power", "data")
)


@pytest.fixture
def net(tmp_path: Path) -> Net:
    return net_of(tmp_path, TRAIN, phase="TRAIN")


@pytest.fixture
def forward(net: Net) -> ForwardPass:
    return emit_forward(net, symbolic_dims(net, FIXED))


def declared(infos: object) -> dict[str, list[int | str]]:
    return {
        i.name: [d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim]
        for i in infos  # type: ignore[attr-defined]
    }


def stored(graph: Graph) -> list[str]:
    return [i.name for i in graph.skeleton.graph.initializer]


def test_inputs_in_order(net: Net, forward: ForwardPass) -> None:
    graph = assemble_graph(
        forward, Outputs(blobs=["ip"]), fed_params=net.param_uses[3:], fed_gradients=["ip"]
    )
    assert declared(graph.skeleton.graph.input) == {
        "data": [4, 3],
        "ip:0": [2, 3],
        "ip:1": [2],
        "d:ip": [4, 2],
        "state:drop:random": [2],
    }
    assert [name for name in stored(graph) if ":" in name] == ["d:ip", "state:drop:random"]


def test_outputs_in_order(net: Net, forward: ForwardPass) -> None:
    g = forward.g
    loss = g.op("ReduceSum", forward.tensors["ip"], keepdims=0)
    outputs = Outputs(loss, ["side", "ip"], {"data": Value(g.op("Neg", "data"), (4, 3))})
    graph = assemble_graph(forward, outputs, fed_params=net.param_uses)
    assert declared(graph.skeleton.graph.output) == {
        "loss:total": [],
        "side": [4, 3],
        "ip": [4, 2],
        "d:data": [4, 3],
        "next:bn:0": [3],
        "next:bn:1": [3],
        "next:bn:2": [1],
        "next:drop:random": [2],
    }
    graph.check()


def test_a_graph_says_what_is_what(net: Net, forward: ForwardPass) -> None:
    d_data = Value(forward.g.op("Neg", "data"), (4, 3))
    graph = assemble_graph(
        forward, Outputs(blobs=["ip"], gradients={"data": d_data}), fed_params=net.param_uses
    )
    assert graph.blobs == {"ip": "ip"}
    assert graph.loss is None
    assert graph.gradients == {"data": "d:data"}
    assert graph.statistics == {f"bn:{i}": f"next:bn:{i}" for i in range(3)}
    (state,) = graph.states
    assert (state.input, state.output, state.random) == ("state:drop:random", "next:drop:random", True)
    np.testing.assert_array_equal(state.initial, [0, 0])
    assert graph.sources == net.sources


def test_without_what_follows(net: Net, forward: ForwardPass) -> None:
    graph = assemble_graph(forward, Outputs(blobs=["ip"], following=False), fed_params=net.param_uses)
    assert graph.output_names == ["ip"]
    assert (graph.states, graph.statistics) == ((), {})
    assert "state:drop:random" in graph.input_names  # still there, and optional


def test_weights_inside_and_only_what_is_needed(net: Net, forward: ForwardPass) -> None:
    graph = assemble_graph(forward, Outputs(blobs=["side"], following=False), weights=net.params)
    assert {node.op_type for node in graph.skeleton.graph.node} <= {"Identity", "Mul", "Add"}
    assert not any(name in net.params for name in stored(graph))
    whole = assemble_graph(forward, Outputs(blobs=["ip"], following=False), weights=net.params)
    assert {"ip:0", "ip:1"} <= set(stored(whole))
    assert not {use.key for use in net.param_uses} & set(whole.input_names)


def test_a_shared_parameters_other_name_is_optional(tmp_path: Path) -> None:
    share = 'param { name: "w" } inner_product_param { num_output: 3 bias_term: false }'
    text = image(2, 3) + layer("a", "InnerProduct", "data", more=share)
    net = net_of(tmp_path, text + layer("b", "InnerProduct", "a", more=share))
    graph = assemble_graph(
        emit_forward(net, symbolic_dims(net, FIXED)), Outputs(blobs=["b"]), fed_params=net.param_uses
    )
    x, w = np.eye(2, 3, dtype=np.float32), np.full((3, 3), 2, np.float32)
    got = Session(graph, threads=1).run({"data": x, "a:0": w})
    np.testing.assert_array_equal(got["b"], x @ w.T @ w.T)


def test_free_sizes_are_declared(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(4, 3) + layer("p", "Power", "data"))
    graph = assemble_graph(emit_forward(net, symbolic_dims(net, BATCH)), Outputs(blobs=["p"]), weights={})
    assert declared(graph.skeleton.graph.input) == {"data": ["N", 3]}
    assert declared(graph.skeleton.graph.output) == {"p": ["N", 3]}


def test_metadata(net: Net, forward: ForwardPass) -> None:
    graph = assemble_graph(forward, Outputs(blobs=["ip"]), weights=net.params, extra_metadata={"crop": "8"})
    entries = {p.key: p.value for p in graph.skeleton.metadata_props}
    assert entries == {
        "vggrepro_version": __version__,
        "caffe_phase": "TRAIN",
        "prototxt_file": "net.prototxt",
        "crop": "8",
    }


def test_a_plain_graph() -> None:
    g = GraphBuilder()
    made = g.op("Add", "x", g.const(2))
    infos = [tensor_info(name, [3], np.float32) for name in ("x", "y")]
    graph = assemble_plain("two", g, infos[:1], infos[1:], {"y": made})
    onnx.checker.check_model(graph.skeleton, full_check=True)
    got = Session(graph, threads=1).run({"x": np.zeros(3, np.float32)})
    np.testing.assert_array_equal(got["y"], [2, 2, 2])

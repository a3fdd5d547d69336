"""Graphs taken apart, rewritten and put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from drafts import draft, noise, operators, result
from net_files import image, layer, net_of

from vggrepro.graph.forward import build_forward
from vggrepro.graph.targets.draft import Draft, Place, layer_of, rewrite


def test_sizes_are_inferred_and_constants_known() -> None:
    d = draft(lambda g: g.op("Relu", g.op("Add", "x", g.const([1.0]))), (None, 3, 5, 7))
    add, relu = d.nodes
    assert d.dims(add.output[0]) == (None, 3, 5, 7)
    assert d.dims("absent") is None
    assert d.dtype(relu.output[0]) == np.float32
    assert d.dims(add.input[1]) == (1,)
    assert d.constants[add.input[1]].tolist() == [1]
    assert layer_of(add) == "layer"


def test_a_rule_replaces_nodes_and_the_dead_go() -> None:
    def halved(place: Place) -> Sequence[str]:
        return [place.g.op("Mul", place.input(0), place.g.const(0.5))]

    d = draft(lambda g: g.op("Relu", g.op("Abs", g.op("Neg", "x"))))
    after = rewrite(rewrite(d, "Relu", lambda place: [place.producer(0).input(0)]), "Neg", halved)  # type: ignore[union-attr]
    assert operators(after) == ["Mul"]
    x = noise(2, 3, 5, 7)
    np.testing.assert_array_equal(result(after, x), x / 2)
    assert layer_of(after.nodes[0]) == "layer"


def test_without_a_change_it_is_the_same_draft() -> None:
    d = draft(lambda g: g.op("Relu", "x"))
    assert rewrite(d, "Abs", lambda _: ["x"]) is d
    assert rewrite(d, "Relu", lambda _: None) is d


def test_an_output_that_becomes_another_one_stays_an_output(tmp_path) -> None:
    net = net_of(tmp_path, image(2, 3) + layer("a", "AbsVal", "data") + layer("b", "AbsVal", "a"))
    d = Draft.of(build_forward(net, outputs=["a", "b"]))
    after = rewrite(d, "Abs", lambda p: [p.input(0)] if p.node.output[0] == "b" else None)
    assert operators(after) == ["Abs", "Identity"]
    assert [list(n.output) for n in after.nodes] == [["a"], ["b"]]


def test_a_finished_graph_declares_every_value_and_keeps_no_dead_weight(tmp_path) -> None:
    body = "convolution_param { num_output: 2 kernel_size: 3 }"
    net = net_of(tmp_path, image(2, 3, 6, 6) + layer("c", "Convolution", "data", more=body))
    graph = Draft.of(build_forward(net)).finished()
    made = {name for node in graph.skeleton.graph.node for name in node.output}
    declared = {i.name for i in [*graph.skeleton.graph.value_info, *graph.skeleton.graph.output]}
    assert made <= declared
    onnx.checker.check_model(graph.to_model(), full_check=True)

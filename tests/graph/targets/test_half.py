"""Weights stored as float16."""

from __future__ import annotations

import numpy as np
import pytest
from drafts import draft, noise, operators, result

from vggrepro.emit import GraphBuilder, tensor
from vggrepro.errors import UnsupportedError
from vggrepro.evaluation import demo
from vggrepro.graph.forward import build_forward
from vggrepro.graph.targets import half as half_module
from vggrepro.graph.targets.half import in_half_precision, with_half_weights
from vggrepro.net import load_net
from vggrepro.runtime.session import Session

X = noise(2, 300)
LARGE, SMALL = noise(4, 300), noise(4)


def _product(g: GraphBuilder) -> str:
    return g.op("Gemm", "x", g.const(LARGE), g.const(SMALL), transB=1)


def test_large_weights_are_halved_and_cast() -> None:
    d = with_half_weights(draft(_product, (2, 300), (2, 4)))
    assert operators(d) == ["Cast", "Gemm"]
    assert sorted(str(a.dtype) for a in d.constants.values()) == ["float16", "float32"]
    np.testing.assert_allclose(
        result(d, X), X @ LARGE.astype(np.float16).T.astype(np.float32) + SMALL, rtol=1e-5
    )


def test_values_beyond_its_range_are_refused() -> None:
    d = draft(lambda g: g.op("Gemm", "x", g.const(LARGE * np.float32(1e5)), transB=1), (2, 300), (2, 4))
    with pytest.raises(UnsupportedError, match="values beyond 65504 are not in float16"):
        with_half_weights(d)


@pytest.mark.parametrize("convolutional", [False, True])
def test_a_whole_net_in_half_precision(convolutional: bool) -> None:
    """Only what goes in and comes out is float32; on the CPU ONNX Runtime computes it all the same."""
    net = load_net(demo.FILES.deploy, demo.FILES.weights)
    graph = build_forward(net, fully_convolutional=convolutional)
    half = in_half_precision(graph)
    half.check()
    assert (half.input_names, half.output_names) == (graph.input_names, graph.output_names)
    assert {a.dtype for a in half.weights.values()} == {np.dtype(np.float16)}
    feeds = {"data": noise(2, 3, 64, 64) * 50}
    (name,) = graph.output_names
    found, exact = (Session(g, threads=1).run(feeds)[name] for g in (half, graph))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact).max() < 0.02


def test_convolutions_with_large_filters_stay_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs are the weights and biases that keep their type, and all that is around them is float16."""
    monkeypatch.setattr(half_module, "LARGEST_FILTER", 3 * 3 * 3)
    small, large, bias = noise(4, 3, 3, 3), noise(5, 4, 3, 3), noise(5)

    def nodes(g: GraphBuilder) -> str:
        y = g.op("Relu", g.op("Conv", "x", g.const(small)))
        return g.op("Relu", g.op("Conv", y, g.const(large), g.const(bias)))

    graph = draft(nodes, (2, 3, 9, 8), (2, 5, 5, 4)).graph
    half = in_half_precision(graph)
    half.check()
    operators = [node.op_type for node in half.skeleton.graph.node]
    assert operators == ["Cast", "Conv", "Relu", "Cast", "Conv", "Cast", "Relu", "Cast"]
    feeds = {"x": noise(2, 3, 9, 8)}
    (name,) = graph.output_names
    found, exact = (Session(g, threads=1).run(feeds)[name] for g in (half, graph))
    np.testing.assert_allclose(found, exact, rtol=0.01, atol=0.03)


def test_numbers_that_a_graph_makes_itself_and_the_largest_ones() -> None:
    def nodes(g: GraphBuilder) -> str:
        above = g.op("Cast", g.op("Greater", "x", g.const(0)), to=1)
        zeros = g.op("ConstantOfShape", g.op("Shape", "x"), value=tensor("", np.ones(1, np.float32)))
        lowest = g.op("Max", g.op("Mul", above, zeros), g.const(np.finfo(np.float32).min))
        return g.op("Add", lowest, g.const(1))

    graph = draft(nodes, (2, 300), (2, 300)).graph
    found = Session(in_half_precision(graph), threads=1).run({"x": X})
    np.testing.assert_array_equal(found[graph.output_names[0]], (X > 0) + np.float32(1))


def test_weights_beyond_the_range_of_half_precision_are_refused() -> None:
    d = draft(lambda g: g.op("Gemm", "x", g.const(LARGE * np.float32(1e5)), transB=1), (2, 300), (2, 4))
    with pytest.raises(UnsupportedError, match="values beyond 65504 are not in float16"):
        in_half_precision(d.graph)

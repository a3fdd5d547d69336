"""What all neuron layers share: in place, and no node for a gradient that is not needed."""

from __future__ import annotations

import math

import pytest
from harness import parse

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.base import Layer, Needed
from vggrepro.layers.rules.neuron import affine, log_of_base, times


@pytest.mark.parametrize("name", ["Swish", "Log", "Sigmoid"])
def test_unneeded_gradient_adds_no_node(name: str) -> None:
    layer, g = parse(f'type: "{name}"'), GraphBuilder()
    emitted = layer.emit(g, [Value("x", (2, 3))], [], [])
    count = len(g.nodes)
    assert layer.grad(g, emitted.saved, ["dy"], Needed((False,), ())).bottoms == (None,)
    assert layer.grad(g, emitted.saved, [None], Needed((True,), ())).bottoms == (None,)
    assert len(g.nodes) == count


def test_in_place_as_in_caffe() -> None:
    def runs(name: str) -> Layer:
        return parse(f'type: "{name}"')

    assert not runs("AbsVal").in_place
    for name in ("BNLL", "ELU", "Exp", "Log", "Power", "ReLU", "Sigmoid", "Swish", "TanH", "Threshold"):
        assert runs(name).in_place


@pytest.mark.parametrize(("base", "expected"), [(-1, 1), (1, 0), (10, math.log(10))])
def test_the_logarithm_of_a_base(base: float, expected: float) -> None:
    """Caffe's -1 stands for e."""
    assert log_of_base(base) == expected


def test_factors_of_1_and_summands_of_0_cost_nothing() -> None:
    g = GraphBuilder()
    assert affine(g, "x", 1, 0) == times(g, "x", 1) == "x"
    assert not g.nodes
    affine(g, "x", 2, 3)
    assert [node.op_type for node in g.nodes] == ["Mul", "Add"]

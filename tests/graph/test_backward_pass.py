"""The backward walk: in which order gradients meet, and where they end."""

from __future__ import annotations

from pathlib import Path

import pytest
from net_files import image, layer, net_of

from vggrepro.errors import GradientError
from vggrepro.graph.backward_pass import BackwardPass, emit_backward
from vggrepro.graph.forward_pass import ForwardPass, emit_forward
from vggrepro.graph.free_sizes import FIXED, symbolic_dims
from vggrepro.graph.need_backward import needed_gradients
from vggrepro.net import Net


def walk(net: Net, *values: str, **fed: str) -> tuple[ForwardPass, BackwardPass]:
    forward = emit_forward(net, symbolic_dims(net, FIXED))
    needed = needed_gradients(net, params=True, values=frozenset(values))
    return forward, emit_backward(forward, needed, fed)


def test_gradients_of_readers_meet_in_the_order_of_the_readers(tmp_path: Path) -> None:
    """As the tops of Caffe's Split do: first the first reader's."""
    text = image(2, 3) + layer("p", "Power", "data", more="power_param { scale: 5 }")
    for name in "abc":
        text += layer(name, "Power", "p", more="power_param { scale: 2 }")
    forward, backward = walk(net_of(tmp_path, text), "data", a="da", b="db", c="dc")
    nodes = {node.output[0]: node for node in forward.g.nodes}
    total = nodes[backward.values["p"]]
    first = nodes[total.input[0]]
    assert (first.op_type, total.op_type) == ("Add", "Add")
    readers = [nodes[name].input[0] for name in (*first.input, total.input[1])]
    assert readers == ["da", "db", "dc"]


def test_where_nothing_flows_there_is_no_gradient(tmp_path: Path) -> None:
    text = image(2, 3) + layer("a", "Power", "data") + layer("b", "Power", "data")
    forward, backward = walk(net_of(tmp_path, text), "data", b="db")
    assert set(backward.values) == {"b", "data"}
    assert backward.params == {}
    assert not [node.name for node in forward.g.nodes if node.name.startswith("d:a/")]


def test_a_layer_without_a_backward_pass(tmp_path: Path) -> None:
    text = image(2, 3) + layer("t", "Threshold", "data")
    with pytest.raises(GradientError, match="layer 't': Threshold has no backward pass in Caffe"):
        walk(net_of(tmp_path, text), "data", t="dt")

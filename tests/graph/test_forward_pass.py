"""The forward walk: what it leaves for the graphs that are made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from net_files import image, layer, net_of

from vggrepro.errors import FixedShapeError
from vggrepro.graph.forward_pass import emit_forward
from vggrepro.graph.free_sizes import BATCH, FIXED, symbolic_dims


def test_values_states_and_statistics(tmp_path: Path) -> None:
    text = image(4, 3) + layer("drop", "Dropout", "data") + layer("bn", "BatchNorm", "drop")
    net = net_of(tmp_path, text + layer("r", "ReLU", "bn", "bn"), phase="TRAIN")
    forward = emit_forward(net, symbolic_dims(net, FIXED))
    assert set(forward.tensors) == {"data", "drop", "bn", "bn#r"}
    assert forward.tensors["data"] == "data"
    assert len(forward.saved) == len(net.layers)
    assert forward.saved[0] is None  # the source
    assert [(s.input, s.output, s.random) for s in forward.states] == [
        ("state:drop:random", "next:drop:random", True)
    ]
    assert forward.statistics == {f"bn:{i}": f"next:bn:{i}" for i in range(3)}
    assert list(forward.following) == ["next:drop:random", *(f"next:bn:{i}" for i in range(3))]


def test_recurrent_states_are_not_random(tmp_path: Path) -> None:
    text = image(3, 2, 4) + image(3, 2, name="cont")
    lstm = layer("l", "LSTM", "data cont", more="recurrent_param { num_output: 2 }")
    net = net_of(tmp_path, text + lstm)
    forward = emit_forward(net, symbolic_dims(net, FIXED))
    assert forward.states
    assert not any(state.random for state in forward.states)
    with pytest.raises(FixedShapeError, match="must be fixed here"):
        emit_forward(net, symbolic_dims(net, BATCH))


def test_nodes_are_named_for_their_layers_and_read_owners(tmp_path: Path) -> None:
    """One Reshape, outside of any layer, for a parameter that is seen in another shape."""
    product = 'param { name: "w" %s } inner_product_param { num_output: %d bias_term: false }'
    text = image(2, 6) + image(2, 4, name="u") + layer("a", "InnerProduct", "data", more=product % ("", 2))
    text += layer("b", "InnerProduct", "u", more=product % ("share_mode: PERMISSIVE", 3))
    net = net_of(tmp_path, text)
    nodes = emit_forward(net, symbolic_dims(net, FIXED)).g.nodes
    assert [node.name for node in nodes if "/" not in node.name] == ["Reshape"]
    assert nodes[0].input[0] == "a:0"
    assert {name for node in nodes for name in node.input if name.endswith(":0")} == {"a:0"}
    assert {node.name.split("/")[0] for node in nodes[1:]} == {"a", "b"}

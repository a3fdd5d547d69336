"""Layers whose tops are inputs of the graph."""

from __future__ import annotations

import pytest
from harness import parse

from vggrepro.emit import GraphBuilder
from vggrepro.layers.registry import known_types, layer_class
from vggrepro.layers.rules.source import SourceLayer


def test_sources_take_no_bottoms_and_are_never_emitted() -> None:
    sources = [layer_class(name) for name in known_types() if issubclass(layer_class(name), SourceLayer)]
    assert {"Input", "Data", "DummyData"} <= {kind.type for kind in sources}
    for kind in sources:
        assert kind.source and 0 in kind.bottoms and 1 not in kind.bottoms
    layer = parse('type: "Input"')
    with pytest.raises(AssertionError, match="inputs of the graph"):
        layer.emit(GraphBuilder(), [], [], [])
    with pytest.raises(AssertionError, match="inputs of the graph"):
        layer.reference([], [], [])

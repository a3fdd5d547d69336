"""What Input and the data layers share: their tops are inputs of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.base import Array, Emitted, Layer, Referenced, exactly


class SourceLayer(Layer[None]):
    """A layer whose tops are inputs of the graph: Input and the data layers."""

    bottoms = exactly(0)
    source = True
    shares_batch = True

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        raise AssertionError("a source's tops are inputs of the graph")

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        raise AssertionError("a source's tops are inputs of the graph")

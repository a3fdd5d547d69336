"""What Input and the data layers share: their tops are inputs of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Layer, Referenced, exactly


class SourceLayer(Layer[None]):
    """A layer whose tops are inputs of the graph: Input and the data layers."""

    bottoms = exactly(0)
    source = True

    def shapes_beside(self, first: Shape) -> tuple[Shape, ...]:
        """The other tops have the batch of the first one, if they have it in the definition."""
        known = self.out_shapes([])
        batch = known[0][:1] if known else ()
        return (first, *((*first[:1], *s[1:]) if s[:1] == batch else s for s in known[1:]))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        raise AssertionError("a source's tops are inputs of the graph")

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        raise AssertionError("a source's tops are inputs of the graph")

"""What Input and the data layers share: their tops are inputs of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.layers.base import Array, Emitted, Layer, Referenced, exactly


class SourceLayer(Layer[None]):
    """A layer whose tops are inputs of the graph: Input and the data layers. ``out_shapes`` has those of the
    first tops, as far as the definition tells them."""

    bottoms = exactly(0)
    source = True
    tells_shape: str = ""
    """What would tell the first top's shape, where the definition does not."""

    def shapes_beside(self, first: Shape) -> tuple[Shape, ...]:
        """The shapes of the tops, as far as they follow from another one of the first top: the others have
        its batch, if they have it in the definition."""
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

"""A layer that this package does not have, as a node in an operator domain of its own.

Not one of Caffe's layers, and never found by type: a caller who asked for it (``allow_custom``) puts one
in the place of a Python layer, or of a type that a fork of Caffe added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vggrepro.caffe.text import format_message
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Reach,
    Referenced,
    Shapes,
    at_least,
)

DOMAIN = "vggrepro.caffe"

HOW_TO_ALLOW = "--allow-custom (allow_custom) makes custom nodes of them"


@dataclass(frozen=True)
class Custom(Layer[None]):
    """The node ``vggrepro.caffe::<type>``. Inputs: the bottoms, then the layer's blobs; attributes:
    ``prototxt``, the layer's text as its author wrote it, and ``bottoms``, their number."""

    type = "custom"
    bottoms = at_least(1)
    tops = at_least(0)
    in_place = True

    name: str
    op_type: str
    prototxt: str
    shapes: tuple[Shape | None, ...]
    """The shape of each top; None, or a size of 0: as the first bottom's."""
    blobs: tuple[Shape, ...] = ()
    """The shapes that the weight file gives the layer's blobs."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Custom:
        return cls(param.name, param.type, format_message(param), (None,) * len(param.top))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return tuple(self._like(bottoms[0], shape) for shape in self.shapes)

    def _like(self, bottom: Shape, shape: Shape | None) -> Shape:
        if shape is None:
            return bottom
        if any(size == 0 and axis >= len(bottom) for axis, size in enumerate(shape)):
            raise ShapeError(f"custom shape {shape}: a 0 where the first bottom, {bottom}, has no axis")
        return tuple(size or bottom[axis] for axis, size in enumerate(shape))

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return tuple(map(ParamDef, self.blobs))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        if not self.shapes:  # without tops it gives nothing to a graph
            return Emitted((), None)
        inputs = [value.name for value in (*bottoms, *params)]
        text = self.prototxt.encode("utf-8", "surrogateescape")  # comments come in any encoding
        about = {"prototxt": text, "bottoms": len(bottoms)}
        return Emitted(g.ops(self.op_type, *inputs, outputs=len(self.shapes), domain=DOMAIN, **about), None)

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        raise UnsupportedError(
            f"layer {self.name!r}: {self.op_type} is a custom node: it has no gradient rule"
        )

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        raise UnsupportedError(f"layer {self.name!r}: {self.op_type} is a custom node: it has no reference")

    def reach(self, bottom: Shape) -> Reach | None:
        return None

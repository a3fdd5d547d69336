"""Layers that this package does not have, made custom nodes for a caller who asks for it.

A caller who allows it (``allow_custom``) gets a node in an operator domain of its own in place of a Python
layer, or of a type that a fork of Caffe added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.text import format_message
from vggrepro.caffe.unknown_layers import PartlyKnownNet
from vggrepro.caffe.weights import SavedLayer
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError, some_of
from vggrepro.layers.base import (
    AnyLayer,
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
from vggrepro.layers.input import Input
from vggrepro.net.kinds import is_fork_data, is_known
from vggrepro.net.net_layer import NetLayer
from vggrepro.system.caller_warning import warn_caller

DOMAIN = "vggrepro.caffe"

HOW_TO_ALLOW = "--layers computes them, --allow-custom (allow_custom) makes custom nodes of them"
"""What to do about layers of unknown types. ``--layers`` imports classes of the user's own."""


@dataclass(frozen=True)
class Custom(Layer[None]):
    """The node ``vggrepro.caffe::<type>``. Inputs: the bottoms, then the layer's blobs; attributes:
    ``prototxt``, the layer's text as its author wrote it, and ``bottoms``, their number."""

    type = "custom"
    bottoms = at_least(1)
    tops = at_least(0)
    in_place = True

    op_type: str
    prototxt: str
    shapes: tuple[Shape | None, ...]
    """The shape of each top; None, or a size of 0: as the first bottom's."""
    blobs: tuple[Shape, ...] | None = None
    """The shapes that the weight file gives the layer's blobs; None without a file that tells."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Custom:
        return cls(param.type, format_message(param), (None,) * len(param.top))

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return tuple(self._like(bottoms[0], shape) for shape in self.shapes)

    def _like(self, bottom: Shape, shape: Shape | None) -> Shape:
        if shape is None:
            return bottom
        if any(size == 0 and axis >= len(bottom) for axis, size in enumerate(shape)):
            raise ShapeError(f"custom shape {shape}: a 0 where the first bottom, {bottom}, has no axis")
        return tuple(size or bottom[axis] for axis, size in enumerate(shape))

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return tuple(map(ParamDef, self.blobs or ()))

    @property
    def tells_params(self) -> bool:
        return self.blobs is not None

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
        raise UnsupportedError(f"{self.op_type} is a custom node: it has no gradient rule")

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        if not self.shapes:
            return Referenced(())
        raise UnsupportedError(f"{self.op_type} is a custom node: it has no reference")

    def reach(self, bottom: Shape) -> Reach | None:
        return None


def custom_layers(
    message: NetParameter, written: PartlyKnownNet, shapes: Mapping[str, Shape], saved: Sequence[SavedLayer]
) -> dict[str, AnyLayer]:
    """A layer for each one of unknown type in an upgraded and filtered net, by its name.

    ``shapes`` are those of tops, where they differ from the first bottom's; ``saved`` tells which blobs the
    layers have. A layer without bottoms becomes an input. Raises NetError for a shape of a top that
    no such layer has.
    """
    messages = [
        layer
        for layer in message.layer
        if not is_known(layer) or (is_fork_data(layer) and not shapes.keys().isdisjoint(layer.top))
    ]
    unused = set(shapes) - {top for layer in messages for top in layer.top}
    if unused:
        raise NetError(f"custom shape of {min(unused)!r}: no custom layer has such a top")
    blobs = {layer.name: tuple(blob.data.shape for blob in layer.blobs) for layer in saved}
    return {
        layer.name: replace(
            Custom.from_param(layer, layer.phase),
            prototxt=written.text_of(layer) or "",
            shapes=tuple(shapes.get(top) for top in layer.top),
            blobs=blobs.get(layer.name),
        )
        if layer.bottom
        else Input(tuple(shapes[top] for top in layer.top if top in shapes))
        for layer in messages
    }


@contextmanager
def advising_on_shapes(custom: Mapping[str, AnyLayer], message: NetParameter) -> Iterator[None]:
    """Says behind a ShapeError raised inside that shapes of custom layers' tops were assumed, if any were."""
    try:
        yield
    except ShapeError as error:
        tops = [
            top
            for definition in message.layer
            if isinstance(layer := custom.get(definition.name), Custom)
            for top, shape in zip(definition.top, layer.shapes, strict=True)
            if shape is None
        ]
        if not tops:
            raise
        raise error.with_advice(
            f"custom top{'s' if len(tops) > 1 else ''} {some_of(map(repr, tops))}: the first bottom's shape"
            f" is assumed; --custom-shape {tops[0]}=300,5, for instance, gives another"
        ) from None


def warn_of_custom_nodes(layers: Sequence[NetLayer], shapes: Mapping[str, Shape]) -> None:
    """One warning for each custom node, with the shapes that were assumed for lack of better knowledge."""
    for net_layer in layers:
        if isinstance(net_layer.layer, Custom):
            assumed = [
                f"top {top!r} is taken to have its first bottom's shape {shapes[top]}"
                for top, shape in zip(net_layer.tops, net_layer.layer.shapes, strict=True)
                if shape is None
            ]
            what = f"{net_layer.place}: becomes the custom node {DOMAIN}::{net_layer.layer.op_type}"
            warn_caller("; ".join([what, *assumed]))

"""Layers that a script computes: ``cv2.dnn_registerLayer(type, class)`` of OpenCV 4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty

from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.caffe.text_scan import unknown_fields
from vggrepro.caffe.unknown_layers import PartlyKnownNet
from vggrepro.caffe.weights import SavedLayer
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import (
    AnyLayer,
    Array,
    Emitted,
    Layer,
    ParamDef,
    Referenced,
    Shapes,
    at_least,
)
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.net.fork_rules import ForkRules
from vggrepro.net.net import Net

Float32 = npt.NDArray[np.float32]

_CLASSES: dict[str, list[Any]] = {}
"""The classes registered for each type; the last one counts."""


def registerLayer(type: str, cls: Any) -> None:
    """From now on ``cls`` computes the layers of a type, also in nets that are read already.

    As with OpenCV, ``cls(params, blobs)`` gets a layer's parameters by name and its weights. Its
    ``getMemoryShapes(inputs)`` makes of a list of shapes the list of the tops' shapes, ``forward(inputs)``
    of arrays a list of arrays.
    """
    _CLASSES.setdefault(type, []).append(cls)


def unregisterLayer(type: str) -> None:
    """Forget the class that was registered last for a type."""
    if _CLASSES.get(type):
        _CLASSES[type].pop()


@dataclass(frozen=True)
class ScriptLayer(Layer[None]):
    """A layer by an object of a script's class, which OpenCV's rules ask for shapes before each pass."""

    type = "script"
    bottoms = at_least(1)
    tops = at_least(1)

    script: Any = field(compare=False)
    blobs: tuple[Shape, ...]

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ScriptLayer:
        return cls(_new(param.type, _parameters(param, ""), []), ())

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        return tuple(tuple(map(int, top)) for top in self.script.getMemoryShapes([*bottoms]))

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        return tuple(map(ParamDef, self.blobs))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        raise UnsupportedError("a registered class computes it, which no graph can hold")

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        raise UnsupportedError("a registered class computes it: it has no reference")

    def forward(self, bottoms: Sequence[Float32]) -> list[Float32]:
        """The tops, float32. Raises NetError if they are not of the shapes that the class told."""
        shapes = self.out_shapes([bottom.shape for bottom in bottoms])
        tops = [np.ascontiguousarray(top, np.float32) for top in self.script.forward(tuple(bottoms))]
        if [top.shape for top in tops] != [*shapes]:
            got = [top.shape for top in tops]
            raise NetError(f"forward gave arrays {got}, getMemoryShapes told {[*shapes]}")
        return tops


@dataclass(frozen=True)
class ScriptRules(ForkRules):
    """Rules by which classes that are registered compute the layers of their types, known or not."""

    @property
    def make_layers(self) -> bool:
        return any(_CLASSES.values()) or super().make_layers

    def _has_own_fields(self, layer: LayerParameter) -> bool:
        return bool(_CLASSES.get(layer.type)) or super()._has_own_fields(layer)

    def layers(
        self, message: NetParameter, written: PartlyKnownNet, phase: str, saved: Sequence[SavedLayer] = ()
    ) -> dict[str, AnyLayer]:
        found = super().layers(message, written, phase, saved)
        blobs = {layer.name: [blob.data for blob in layer.blobs] for layer in saved}
        for layer in message.layer:
            if _CLASSES.get(layer.type) and layer.bottom:
                parameters = _parameters(layer, written.text_of(layer) or "")
                found[layer.name] = _made(layer.type, parameters, blobs.get(layer.name, []))
        return found


def with_registered(net: Net) -> Net:
    """The net with layers by the classes that were registered since it was read."""
    late = {
        placed.name: _made(
            placed.message.type,
            _parameters(placed.message, ""),
            [np.asarray(net.params[use.key]) for use in placed.params],
        )
        for placed in net.layers
        if _CLASSES.get(placed.message.type)
        and placed.message.bottom
        and not isinstance(net.custom.get(placed.name), ScriptLayer)
    }
    return replace(net, custom={**net.custom, **late}) if late else net


def as_matrix(blob: Float32, type_name: str) -> Float32:
    """A layer's weights as OpenCV 4 holds them: those of one axis as a column, InnerProduct's as a row."""
    if blob.ndim != 1:
        return blob
    return blob.reshape((1, -1) if type_name == InnerProduct.type else (-1, 1))


def _made(type_name: str, parameters: Mapping[str, Any], blobs: Sequence[Any]) -> ScriptLayer:
    arrays = [np.asarray(blob, np.float32) for blob in blobs]
    given = [as_matrix(array, type_name) for array in arrays]
    return ScriptLayer(_new(type_name, parameters, given), tuple(array.shape for array in arrays))


def _new(type_name: str, parameters: Mapping[str, Any], blobs: Sequence[Float32]) -> Any:
    return _CLASSES[type_name][-1](dict(parameters), tuple(blobs))


def _parameters(layer: LayerParameter, text: str) -> dict[str, Any]:
    """What OpenCV makes of the ``*_param`` messages of a layer: fields by name, of the schema with their
    values (a tuple of several), of those that it lacks their text."""
    found: dict[str, Any] = {}
    for own in unknown_fields(text, NetParameter.DESCRIPTOR):
        if own.message:
            inside = own.written.strip()[1:-1]
            found |= {f.field: f.written.strip("\"'") for f in unknown_fields(inside, Empty.DESCRIPTOR)}
    for descriptor, value in layer.ListFields():
        if descriptor.name.endswith("_param"):
            found |= dict(_fields(value))
    return found


def _fields(message: Any) -> Iterator[tuple[str, Any]]:
    for descriptor, value in message.ListFields():
        values = [value] if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") else [*value]
        if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in values:
                yield from _fields(inner)
            continue
        if descriptor.enum_type is not None:
            values = [descriptor.enum_type.values_by_number[number].name for number in values]
        plain = [int(v) if isinstance(v, bool) else v for v in values]
        yield descriptor.name, plain[0] if len(plain) == 1 else tuple(plain)

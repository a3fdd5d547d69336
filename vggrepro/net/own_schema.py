"""Layers from outside this package whose parameters are fields of a user's own schema."""

from __future__ import annotations

from google.protobuf import text_format

from vggrepro.caffe.messages import PHASES, LayerParameter, NetParameter
from vggrepro.caffe.proto_file import ForkSchema
from vggrepro.caffe.unknown_layers import PartlyKnownNet
from vggrepro.errors import ParseError, naming
from vggrepro.layers.base import AnyLayer, Layer
from vggrepro.net.kinds import class_of, is_known
from vggrepro.net.net_layer import place_of

_OF_THE_PACKAGE = Layer.__module__.partition(".")[0] + "."


def is_from_outside(definition: LayerParameter) -> bool:
    """Whether the class of a ``LayerParameter`` was registered from outside this package."""
    return is_known(definition) and not class_of(definition).__module__.startswith(_OF_THE_PACKAGE)


def own_schema_layers(
    message: NetParameter, written: PartlyKnownNet, schema: ForkSchema, phase: str
) -> dict[str, AnyLayer]:
    """The layers from outside in an upgraded and filtered net, by name: ``from_param`` gets the layer's
    message in the user's schema. Raises ParseError for a text that the schema does not fit."""
    layers: dict[str, AnyLayer] = {}
    for definition in message.layer:
        text = written.text_of(definition) if is_from_outside(definition) else None
        if text is not None:
            with naming(place_of(definition)):
                own = _parse(text, schema)
                layers[definition.name] = class_of(definition).from_param(own, PHASES[phase])
    return layers


def _parse(text: str, schema: ForkSchema) -> LayerParameter:
    net = schema.message_class("NetParameter")()
    try:
        text_format.Parse(text, net)
    except text_format.ParseError as error:
        raise ParseError(f"by {schema.path}: {' '.join(str(error).split())}") from None
    for name in ("layer", "layers"):
        for layer in getattr(net, name, ()):
            found: LayerParameter = layer  # by its fields' names, which are all that a layer looks at
            return found
    raise ParseError(f"by {schema.path}: no layer")

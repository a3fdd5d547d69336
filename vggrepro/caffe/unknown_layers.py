"""Definitions with layers whose fields are their own: of types that are not known here, or data layers of
forks.

Such a layer may have fields that the schema lacks. They are left out of its message, and its text is kept as
it was written.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

from vggrepro.caffe.fork_fields import fork_fields
from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.caffe.text import not_empty, parse_net, read_text, unknown_field_error
from vggrepro.caffe.text_scan import UnknownField, blanked, field_spans, unknown_fields
from vggrepro.caffe.upgrade_v1 import upgrade_data_transforms, upgrade_layer, upgrade_v1_net
from vggrepro.errors import ParseError, UnknownFieldError, some_of

IsOwn = Callable[[LayerParameter], bool]
"""Whether the fields of a layer are its own. Of the layer only what every layer has is known then."""


@dataclass(frozen=True)
class PartlyKnownNet:
    """A ``NetParameter`` as it was written, without those fields of layers with fields of their own that the
    schema lacks, and the whole text of these layers. With V1 layers of types that are unknown it is in
    today's format."""

    message: NetParameter
    texts: Mapping[bytes, str]

    def text_of(self, layer: LayerParameter) -> str | None:
        """The text of a layer with fields of its own, which may be upgraded and filtered since; None for any
        other."""
        return self.texts.get(_identity(layer))

    def check_whole(self, layer: LayerParameter) -> None:
        """Raise UnknownFieldError if fields of a layer were left out, for who goes by all of them."""
        text = self.text_of(layer)
        try:
            if text is not None:
                parse_net(text, f"layer {layer.name!r}")
        except UnknownFieldError as error:
            raise error.with_advice(
                "where data is read nothing may be left out: it changes what is read"
            ) from None


@dataclass(frozen=True)
class _Written:
    """A layer of a definition: its place in the text, what is known of it in today's format, and the name of
    its type where a V1 layer has one that is none of BVLC's."""

    span: range
    layer: LayerParameter
    fork_type: str | None = None


def read_partly_known_net(
    path: str | PathLike[str], is_own: IsOwn, *, allow_unknown: bool = False
) -> PartlyKnownNet:
    """Read a net some of whose layers may have fields of their own.

    ``allow_unknown``: as in ``read_net``, but a message that the schema lacks is left out of a layer with
    bottoms only where it is known to be harmless. Raises ParseError.
    """
    text, source = read_text(path), str(path)
    unknown = list(unknown_fields(text, NetParameter.DESCRIPTOR))
    layers = _layers(text, unknown, source)
    own = {index for index, written in enumerate(layers) if written.layer.type and is_own(written.layer)}
    starts = [written.span.start for written in layers]
    inside: list[UnknownField] = []
    for field in unknown:
        index = bisect_left(starts, field.span.start) - 1
        if index < 0 or field.span.start not in layers[index].span:
            continue  # a field of the net
        if index in own:
            inside.append(field)
        elif allow_unknown:
            _refuse_parameters(field, layers[index].layer, source)
    message = parse_net(blanked(text, inside), source, allow_unknown=allow_unknown)
    if unknown and not (message.layer or message.layers or message.input):
        found = some_of(dict.fromkeys(field.field for field in unknown))
        raise ParseError(f"{source}: no layer or input in it (but {found}), expected a caffe.NetParameter")
    not_empty(message, path)
    fork_types = {index: name for index in own if (name := layers[index].fork_type) is not None}
    if fork_types:  # V1 layers have numbers for types: these names can only stand in layers of today's format
        message = upgrade_v1_net(upgrade_data_transforms(message), fork_types)
    texts = {}
    for index in sorted(own):
        layer = message.layer[index] if message.layer else upgrade_layer(message.layers[index])
        texts[_identity(layer)] = text[layers[index].span.start : layers[index].span.stop]
    return PartlyKnownNet(message, texts)


def _layers(text: str, unknown: Sequence[UnknownField], source: str) -> list[_Written]:
    """Every layer, or V1 layer, of a definition. (V0 layers, inside of V1's, have no type here.)"""
    message = parse_net(blanked(text, unknown), source)
    name = "layer" if message.layer else "layers"
    spans, layers = field_spans(text, name), getattr(message, name)
    if len(spans) != len(layers):
        raise ParseError(f"{source}: layers in a list; expected a field {name!r} for each")
    if name == "layer":
        return [_Written(span, layer) for span, layer in zip(spans, layers, strict=True)]
    types = {f.span.start: f.value for f in unknown if f.field == "type" and f.value is not None}
    return [
        _Written(span, upgrade_layer(layer, fork_type), fork_type)
        for span, layer in zip(spans, layers, strict=True)
        for fork_type in [next((types[place] for place in types if place in span), None)]
    ]


def _refuse_parameters(field: UnknownField, layer: LayerParameter, source: str) -> None:
    """Raise UnknownFieldError for parameters of a layer that computes, which it may compute by."""
    message = field.message_type.rpartition(".")[2]
    listed = fork_fields().get((message, field.field))
    if (
        field.message
        and layer.bottom
        and listed is None
        and message in ("LayerParameter", "V1LayerParameter")
    ):
        problem = f"{source}:{field}; layer {layer.name!r} may compute by it, so it is not left out"
        raise unknown_field_error(problem, source, field)


def _identity(layer: LayerParameter) -> bytes:
    """What upgrading and filtering leave alone in a layer of today's format."""
    copy = LayerParameter()
    copy.CopyFrom(layer)
    copy.ClearField("phase")
    return copy.SerializeToString(deterministic=True)

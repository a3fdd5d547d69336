"""Definitions with layers of types that are not known here: their text is kept as it was written."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from os import PathLike

from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.caffe.text import parse_net, read_text
from vggrepro.caffe.text_scan import blank_unknown_fields, field_spans
from vggrepro.errors import ParseError


@dataclass(frozen=True)
class PartlyKnownNet:
    """A ``NetParameter`` as it was written, without those fields of unknown layers that the schema lacks,
    and the whole text of these layers."""

    message: NetParameter
    texts: Mapping[bytes, str]

    def text_of(self, layer: LayerParameter) -> str:
        """The text of an unknown layer of the net, which may be upgraded and filtered since."""
        return self.texts[_identity(layer)]


def read_partly_known_net(
    path: str | PathLike[str], known: Container[str], *, allow_unknown: bool = False
) -> PartlyKnownNet:
    """Read a net whose layers of types that are not ``known`` may have fields of their own.

    V1 layers have numbers for types, all of which are known. Raises ParseError.
    """
    text = read_text(path)
    layers = parse_net(_blanked(text), str(path)).layer
    spans = field_spans(text, "layer")
    if len(spans) != len(layers):
        raise ParseError(f"{path}: layers in a list; expected a field 'layer' for each")
    unknown = [index for index, layer in enumerate(layers) if layer.type not in known]
    kept = _blanked(text, [spans[index] for index in unknown])
    message = parse_net(kept, str(path), allow_unknown=allow_unknown)
    texts = {_identity(layers[index]): text[spans[index].start : spans[index].stop] for index in unknown}
    return PartlyKnownNet(message, texts)


def unknown_types(path: str | PathLike[str], known: Container[str]) -> list[str]:
    """The layer types of a net that are not ``known``, each once. Raises ParseError."""
    layers = parse_net(_blanked(read_text(path)), str(path)).layer
    return list(dict.fromkeys(layer.type for layer in layers if layer.type not in known))


def _blanked(text: str, within: list[range] | None = None) -> str:
    return blank_unknown_fields(text, NetParameter.DESCRIPTOR, within)[0]


def _identity(layer: LayerParameter) -> bytes:
    """What upgrading and filtering leave alone in a layer of today's format."""
    copy = LayerParameter()
    copy.CopyFrom(layer)
    copy.ClearField("phase")
    return copy.SerializeToString(deterministic=True)

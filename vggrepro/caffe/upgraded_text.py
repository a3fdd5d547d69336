"""An upgraded net as text, with the text of those layers that have fields of their own."""

from __future__ import annotations

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.text import format_message
from vggrepro.caffe.text_scan import field_spans
from vggrepro.caffe.unknown_layers import PartlyKnownNet
from vggrepro.errors import UnsupportedError


def upgraded_text(message: NetParameter, written: PartlyKnownNet) -> str:
    """The text of ``message``, what ``written`` is in today's format. A layer with fields of its own is as it
    was written. Raises UnsupportedError for one that was written in an older format, whose text does not
    fit into today's."""
    text = format_message(message)
    if not written.texts:
        return text
    parts, end = [], 0
    for span, layer in zip(field_spans(text, "layer"), message.layer, strict=True):
        own = written.text_of(layer)
        if own is None:
            continue
        if not own.startswith("layer") or own.startswith("layers"):
            raise UnsupportedError(f"layer {layer.name!r}: fields of its own in an older format")
        parts += [text[end : span.start], own]
        end = span.stop
    return "".join([*parts, text[end:]])

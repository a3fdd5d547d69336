"""Layers that this package does not have, made custom nodes for a caller who asks for it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vggrepro.caffe.unknown_layers import ForeignNet
from vggrepro.caffe.weights import SavedLayer
from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.layers.base import AnyLayer, known_types
from vggrepro.layers.custom import DOMAIN, Custom
from vggrepro.layers.input import Input
from vggrepro.net.net import Net


def custom_layers(
    message: Any, foreign: ForeignNet, shapes: Mapping[str, Shape], saved: Sequence[SavedLayer]
) -> dict[str, AnyLayer]:
    """A layer for each one of unknown type in an upgraded and filtered net, by its name.

    ``shapes`` are those of tops, where they differ from the first bottom's; ``saved`` tells which blobs the
    layers have. A layer without bottoms becomes an input. Raises NetError for a shape of a top that
    no such layer has.
    """
    known = set(known_types())
    messages = [layer for layer in message.layer if layer.type not in known]
    unused = set(shapes) - {top for layer in messages for top in layer.top}
    if unused:
        raise NetError(f"custom shape of {min(unused)!r}: no custom layer has such a top")
    blobs = {layer.name: tuple(blob.data.shape for blob in layer.blobs) for layer in saved}
    return {
        layer.name: replace(
            Custom.from_param(layer, layer.phase),
            prototxt=foreign.text_of(layer),
            shapes=tuple(shapes.get(top) for top in layer.top),
            blobs=blobs.get(layer.name, ()),
        )
        if layer.bottom
        else Input(tuple(shapes[top] for top in layer.top if top in shapes))
        for layer in messages
    }


def warn_of_custom_nodes(net: Net) -> None:
    """One warning for each custom node, with the shapes that were assumed for lack of better knowledge."""
    for placed in net.layers:
        if isinstance(placed.layer, Custom):
            assumed = [
                f"top {top!r} is taken to have its first bottom's shape {net.shapes[top]}"
                for top, shape in zip(placed.tops, placed.layer.shapes, strict=True)
                if shape is None
            ]
            what = f"layer {placed.name!r}: becomes the custom node {DOMAIN}::{placed.layer.op_type}"
            warnings.warn("; ".join([what, *assumed]), stacklevel=3)

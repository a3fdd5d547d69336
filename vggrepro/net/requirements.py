"""What a use of a net requires of it: weights for every layer, inputs that take pictures and labels."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.errors import NetError
from vggrepro.net.net import Net

CHANNELS = 3
"""Channels of a picture: blue, green, red."""


def layers_without_weights(net: Net) -> list[str]:
    """The layers, in order, with a parameter that no file gave: its values are its filler's, if any."""
    return [layer.name for layer in net.layers if any(use.owner not in net.loaded for use in layer.params)]


def picture_input(net: Net, channels: Sequence[int] = (CHANNELS,)) -> str:
    """The name of the net's only input, which takes square pictures. Raises NetError unless it has one input
    (N, C, side, side), with C one of ``channels``, and no other."""
    pictures = _picture_inputs(net, channels)
    if len(net.inputs) != 1 or not pictures:
        raise _unexpected(net, "one " + " or ".join(f"(N, {c}, side, side)" for c in channels))
    return pictures[0]


def picture_and_label_inputs(net: Net) -> tuple[str, str]:
    """The names of the inputs that take square pictures and their labels. Raises NetError unless the net has
    one input (N, 3, side, side), one (N) or (N, 1, 1, 1), and no other."""
    pictures = _picture_inputs(net)
    labels = [name for name, shape in net.inputs.items() if set(shape[1:]) <= {1}]
    if len(net.inputs) != 2 or len(pictures) != 1 or len(labels) != 1:
        raise _unexpected(net, f"pictures (N, {CHANNELS}, side, side) and labels (N)")
    return pictures[0], labels[0]


def _picture_inputs(net: Net, channels: Sequence[int] = (CHANNELS,)) -> list[str]:
    return [n for n, s in net.inputs.items() if len(s) == 4 and s[1] in channels and s[2] == s[3]]


def _unexpected(net: Net, expected: str) -> NetError:
    return NetError(f"net {net.name!r}: inputs {dict(net.inputs)}; expected {expected}")

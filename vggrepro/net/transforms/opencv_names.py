"""Blobs under the names by which OpenCV 4's readNetFromCaffe knows what layers give."""

from __future__ import annotations

from collections.abc import Collection

from vggrepro.layers.convolution import Convolution
from vggrepro.net.net import Net, Params
from vggrepro.net.sharing import param_key
from vggrepro.net.transforms.rewrite import copy_of, rewritten


def with_opencv_names(net: Net) -> Net:
    """The net in which each blob bears the name that is given to OpenCV's ``forward``: that of the layer
    which makes it, or of its top if the layer is a Convolution (seen on OpenCV 4.8 to 4.14). Inputs, and
    what a layer gives besides its first top, keep their names. A number stands behind a name that another
    blob has already. As in OpenCV, a layer that works in place leaves what it reads as it was.
    """
    names = {top: top for placed in net.layers if placed.layer.source for top in placed.tops}
    layers = []
    for placed in net.layers:
        message = copy_of(placed.message)
        if not placed.layer.source:
            message.bottom[:] = [names[value] for value in placed.bottoms]
            for index, (top, value) in enumerate(zip(placed.message.top, placed.tops, strict=False)):
                own = top if index or message.type == Convolution.type else placed.name
                message.top[index] = names[value] = _free(own, set(names.values()))
        layers.append(message)
    return rewritten(net, layers, _params(net, names.values()))


def opencv_outputs(net: Net) -> list[str]:
    """What such a net returns, in the order of its layers, as OpenCV's getUnconnectedOutLayersNames does."""
    return [top for placed in net.layers for top in placed.message.top if top in net.returned]


def _params(net: Net, blobs: Collection[str]) -> Params:
    """The parameters by the keys that they have where blobs have these names."""
    params = {}
    for placed in net.layers:
        for index, use in enumerate(placed.params):
            params[param_key(placed.name, index, blobs)] = net.params[use.key]
    return params


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if it is taken."""
    number, found = 0, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found

"""From probabilities to scores: a net without the Softmax layers at its end."""

from __future__ import annotations

from vggrepro.errors import NetError
from vggrepro.layers.softmax import Softmax
from vggrepro.net.net import Net
from vggrepro.net.transforms.rewrite import rewritten


def without_softmax(net: Net) -> Net:
    """The net that returns what its final Softmax layers would take. Raises NetError if none ends it."""
    read = {bottom for placed in net.layers for bottom in placed.bottoms}
    kept = [
        placed
        for placed in net.layers
        if not isinstance(placed.layer, Softmax) or read.intersection(placed.tops)
    ]
    if len(kept) == len(net.layers):
        raise NetError(f"net {net.name!r}: no Softmax layer at its end")
    return rewritten(net, [placed.message for placed in kept])

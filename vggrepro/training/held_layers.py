"""Which layers learn: all, or the fully connected ones alone.

The submission to the contest had a jittered net D of which "only the fully connected layers" had been
fine-tuned (section 4.4). Layers that are held have a rate of 0, as with Caffe's ``lr_mult: 0``, so that no
gradient is computed for them or below them.
"""

from __future__ import annotations

from typing import Any

from vggrepro.errors import SolverError
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.net import Net


def hold_all_but_fully_connected(message: Any, net: Net) -> None:
    """Set ``lr_mult: 0`` for every parameter of the ``NetParameter`` whose layer is not fully connected.

    ``net`` is what the message describes. Raises SolverError where no layer would be left to learn.
    """
    if not any(isinstance(placed.layer, InnerProduct) for placed in net.layers):
        raise SolverError(
            f"net {net.name!r}: no InnerProduct layer, so nothing would learn with --fine-tune fc"
        )
    for placed, definition in zip(net.layers, message.layer, strict=True):
        if isinstance(placed.layer, InnerProduct):
            continue
        while len(definition.param) < len(placed.params):
            definition.param.add()
        for spec in definition.param:
            spec.lr_mult = 0

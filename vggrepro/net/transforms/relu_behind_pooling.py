"""ReLUs put behind the max pooling that follows them, where there are fewer elements.

The maximum of a window of ReLUs is the ReLU of its maximum. The gradients are the same too: where the
maximum is positive, both ways give the gradient to the first element that equals it, and elsewhere neither
lets it pass.
"""

from __future__ import annotations

from dataclasses import replace

from vggrepro.layers.pooling import Pooling
from vggrepro.layers.relu import ReLU
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.transforms.rewrite import copy_of


def with_relu_behind_pooling(net: Net) -> Net:
    """The net in which each ReLU with slope 0 that only a max pooling reads has changed places with it. The
    value between the two is another one than before: it has the pooling's shape, and may be negative."""
    layers, shapes = list(net.layers), dict(net.shapes)
    for relu in net.layers:
        pooling = _pooling_behind(net, relu)
        if pooling is None:
            continue
        message = copy_of(relu.message)
        message.top[:] = pooling.message.top
        at = layers.index(pooling)
        layers[at : at + 1] = [
            replace(pooling, bottoms=relu.bottoms, tops=relu.tops),
            replace(relu, bottoms=relu.tops, tops=pooling.tops, message=message),
        ]
        layers.remove(relu)
        shapes[relu.tops[0]] = shapes[pooling.tops[0]]
    return replace(net, layers=tuple(layers), shapes=shapes)


def _pooling_behind(net: Net, relu: NetLayer) -> NetLayer | None:
    """The max pooling with which a layer can change places; None if it cannot."""
    if not isinstance(relu.layer, ReLU) or relu.layer.negative_slope != 0 or any(relu.loss_weights):
        return None
    readers = net.readers(relu.tops[0])
    if len(readers) != 1 or not isinstance(readers[0].layer, Pooling):
        return None
    (pooling,) = readers
    given = (*relu.propagate_down, *pooling.propagate_down, *pooling.loss_weights)
    return None if any(given) or not pooling.layer.picks else pooling

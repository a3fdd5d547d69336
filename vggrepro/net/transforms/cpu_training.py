"""A net as a CPU trains it fastest: the same losses and gradients from fewer passes over memory."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from operator import le

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.pooling import Pooling
from vggrepro.layers.relu import ReLU
from vggrepro.layers.rules.pooling_nodes import max_pool_by_planes
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.transforms.rewrite import copy_of


@dataclass(frozen=True)
class PlanarPooling(Pooling):
    """Pooling whose maxima are taken of each channel by itself, as the gradient's are: in training the bottom
    is needed as it stands, and not in blocks of channels."""

    def maxima(self, g: GraphBuilder, x: Value) -> str:
        return max_pool_by_planes(g, x, self.windows(x.dims), self.out_shapes([x.shape])[0])


def for_cpu_training(net: Net) -> Net:
    """The net with both changes of this module."""
    return with_relu_behind_pooling(with_planar_pooling(net))


def with_planar_pooling(net: Net) -> Net:
    """The net in which max pooling takes each channel by itself."""
    return replace(net, layers=tuple(map(_planar, net.layers)))


def _planar(placed: NetLayer) -> NetLayer:
    if type(placed.layer) is not Pooling:
        return placed
    values = {field.name: getattr(placed.layer, field.name) for field in fields(Pooling)}
    return replace(placed, layer=PlanarPooling(**values))


def with_relu_behind_pooling(net: Net) -> Net:
    """The net in which each ReLU with slope 0 that only a max pooling reads has changed places with it, as
    there are fewer elements behind the pooling.

    The maximum of a window of ReLUs is the ReLU of its maximum. The gradients are the same too: where the
    maximum is positive, both ways give the gradient to the first element that equals it, and elsewhere
    neither lets it pass. The value between the two is another one than before: it has the pooling's shape,
    and may be negative.
    """
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
    if len(readers) != 1:
        return None
    layer = readers[0].layer
    given = (*relu.propagate_down, *readers[0].propagate_down, *readers[0].loss_weights)
    return readers[0] if isinstance(layer, Pooling) and _picks(layer) and not any(given) else None


def _picks(pooling: Pooling) -> bool:
    """Whether a layer has one top, whose elements all are elements of the bottom: behind the end a window may
    begin only without padding."""
    inside = pooling.kernel is None or any(pooling.pad) or all(map(le, pooling.stride, pooling.kernel))
    return pooling.method == "MAX" and not pooling.masked and pooling.behind is None and inside

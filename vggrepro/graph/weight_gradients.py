"""The gradients of fully connected layers' weights, from what the layers read and what arrives at their tops.

Such a gradient is larger than these factors: where several runs share the images of a batch, they leave the
factors, of which it is made once for all images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod

import numpy as np

from vggrepro.emit import GraphBuilder, Infos, RuleSet, Shape, Value, tensor_info
from vggrepro.graph.assembly import assemble_plain
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import arriving_name, gradient_name, read_name
from vggrepro.layers.base import Needed
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer


def separable_weights(net: Net) -> list[str]:
    """The keys of the weights whose gradients are larger than the factors that they are made of, and that one
    layer alone has."""
    owners = [use.owner for use in net.param_uses]
    return [
        placed.params[0].key
        for placed in net.layers
        if type(placed.layer) is InnerProduct
        and placed.params[0].needs_gradient
        and owners.count(placed.params[0].owner) == 1
        and prod(placed.params[0].definition.shape)
        > sum(prod(net.shapes[value]) for value in (*placed.bottoms, *placed.tops))
    ]


def factor_shapes(net: Net, keys: Collection[str]) -> dict[str, Shape]:
    """The shapes of what the gradients of weights are made of, by the names under which steps return it."""
    shapes = {}
    for placed in layers_of_weights(net, keys):
        shapes[read_name(placed.name)] = net.shapes[placed.bottoms[0]]
        shapes[arriving_name(placed.name)] = net.shapes[placed.tops[0]]
    return shapes


def build_weight_gradients(net: Net, keys: Collection[str], rules: RuleSet | None = "cpu") -> Graph:
    """The gradients of weights by key, as a graph of their factors, at the net's own input shapes."""
    g, factors = GraphBuilder(rules), factor_shapes(net, keys)
    for name in factors:
        g.reserve(name)
    made, shapes = {}, {}
    for placed in layers_of_weights(net, keys):
        weight, *others = placed.params
        read = Value(read_name(placed.name), factors[read_name(placed.name)])
        with g.scope(gradient_name(placed.name)):
            params = [Value(use.key, use.definition.shape) for use in placed.params]
            saved = placed.layer.emit(g, [read], params, []).saved
            needed = Needed((False,), (True, *(False for _ in others)))
            gradient = placed.layer.grad(g, saved, [arriving_name(placed.name)], needed).params[0]
        assert gradient is not None
        name = gradient_name(weight.key)
        made[name], shapes[name] = gradient, weight.definition.shape
    return assemble_plain("weight_gradients", g, _infos(factors), _infos(shapes), made)


def layers_of_weights(net: Net, keys: Collection[str]) -> list[NetLayer]:
    """The layers whose first parameters are weights with these keys, in order."""
    return [placed for placed in net.layers if placed.params and placed.params[0].key in keys]


def _infos(shapes: Mapping[str, Shape]) -> Infos:
    return [tensor_info(name, shape, np.float32) for name, shape in shapes.items()]

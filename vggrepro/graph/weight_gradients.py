"""The gradients of fully connected layers' weights, from what the layers read and what arrives at their tops.

Such a gradient is as large as the weight, and its factors are small: where several runs share the images of a
batch, they leave the factors, of which the gradient is made once for all images.
"""

from __future__ import annotations

from collections.abc import Collection
from math import prod

import numpy as np

from vggrepro.emit import GraphBuilder, RuleSet, Value, tensor_info
from vggrepro.graph.assembly import assemble_plain
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import arriving_name, gradient_name, read_name
from vggrepro.layers.base import Needed
from vggrepro.layers.inner_product import InnerProduct
from vggrepro.net.net import Net


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


def build_weight_gradients(net: Net, keys: Collection[str], rules: RuleSet | None = "cpu") -> Graph:
    """The gradients of weights by key, as a graph of ``read_name`` and ``arriving_name`` of their layers, at
    the net's own input shapes."""
    g = GraphBuilder(rules)
    placed = [p for p in net.layers if any(use.key in keys for use in p.params)]
    factors = {read_name(p.name): net.shapes[p.bottoms[0]] for p in placed}
    factors |= {arriving_name(p.name): net.shapes[p.tops[0]] for p in placed}
    for name in factors:
        g.reserve(name)
    made = {}
    for layer in placed:
        weight, *others = layer.params
        read = Value(read_name(layer.name), net.shapes[layer.bottoms[0]])
        with g.scope(gradient_name(layer.name)):
            params = [Value(use.key, use.definition.shape) for use in layer.params]
            saved = layer.layer.emit(g, [read], params, []).saved
            needed = Needed((False,), (True, *(False for _ in others)))
            made[weight.key] = layer.layer.grad(g, saved, [arriving_name(layer.name)], needed).params[0]
    shapes = {use.key: use.definition.shape for use in net.param_uses}
    return assemble_plain(
        "weight_gradients",
        g,
        [tensor_info(name, shape, np.float32) for name, shape in factors.items()],
        [tensor_info(gradient_name(key), shapes[key], np.float32) for key in made],
        {gradient_name(key): tensor for key, tensor in made.items() if tensor is not None},
    )

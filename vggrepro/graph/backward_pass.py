"""The backward walk: the layers in reverse, each by its own gradient rule, at the level of Caffe's layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from vggrepro.emit import GraphBuilder, Shape
from vggrepro.errors import GradientError, naming
from vggrepro.graph.forward_pass import ForwardPass
from vggrepro.graph.naming import gradient_name
from vggrepro.layers.base import AnyLayer, Needed
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer


@dataclass(frozen=True)
class BackwardPass:
    """Tensors of gradients: of values, and of parameters by key (a shared one's under each key)."""

    values: Mapping[str, str]
    params: Mapping[str, str]


def emit_backward(forward: ForwardPass, flags: Sequence[Needed], fed: Mapping[str, str]) -> BackwardPass:
    """Add the gradients to the graph of ``forward``: the layers in reverse, each by its own rule.

    ``flags`` says which gradients each layer must compute (see :func:`needed_gradients`); ``fed`` holds
    the gradients that come from outside, by value; loss weights are added here. A value with several
    readers gets the sum of theirs. Raises GradientError where Caffe has no backward pass.
    """
    g, net = forward.g, forward.net
    arriving: dict[str, list[str]] = {value: [tensor] for value, tensor in fed.items()}
    values: dict[str, str | None] = {}
    params: dict[str, list[str]] = {}
    shapes = {use.key: use.definition.shape for use in net.param_uses}
    for net_layer, saved, needed in reversed(list(zip(net.layers, forward.saved, flags, strict=True))):
        with g.scope(gradient_name(net_layer.name)), naming(net_layer.place):
            d_tops = [
                _total(g, [*_loss_seed(g, net, net_layer, i), *arriving.pop(top, [])])
                for i, top in enumerate(net_layer.tops)
            ]
            values.update(zip(net_layer.tops, d_tops, strict=True))
            if all(d is None for d in d_tops) or not any((*needed.bottoms, *needed.params)):
                continue
            require_rule(net_layer.layer, net_layer.bottoms, needed)
            found = net_layer.layer.reread(saved, *_last_contents(forward, net_layer))
            gradients = net_layer.layer.grad(g, found, d_tops, needed)
        for value, d in zip(net_layer.bottoms, gradients.bottoms, strict=False):
            if d is not None:
                arriving.setdefault(value, []).insert(0, d)
        for use, d in zip(net_layer.params, gradients.params, strict=False):
            if d is not None:
                params.setdefault(use.owner, []).append(
                    _shaped(g, d, use.definition.shape, shapes[use.owner])
                )
    owned = {owner: g.sum_in_order(ds[::-1]) for owner, ds in params.items()}
    return BackwardPass(
        {value: d for value, d in values.items() if d is not None},
        {
            use.key: _shaped(g, owned[use.owner], shapes[use.owner], use.definition.shape)
            for use in net.param_uses
            if use.owner in owned
        },
    )


def _shaped(g: GraphBuilder, d: str, shape: Shape, wanted: Shape) -> str:
    """PERMISSIVE sharing lets layers see one parameter in different shapes."""
    return d if shape == wanted else g.op("Reshape", d, g.ints(wanted))


def _last_contents(forward: ForwardPass, net_layer: NetLayer) -> tuple[list[str], list[str]]:
    """The tensors that a layer's bottoms and tops hold after the whole forward pass: as Caffe's backward
    finds them, which reads a blob that later layers changed in place.

    DEVIATION: Caffe's Reshape, Flatten and Split share memory with their bottom, so a layer that works
    in place on their top changes that bottom too. Here it does not."""
    message, last = net_layer.message, forward.net.blobs
    bottoms, tops = (
        [forward.tensors[last.get(blob, value)] for blob, value in zip_longest(blobs, values)]
        for blobs, values in ((message.bottom, net_layer.bottoms), (message.top, net_layer.tops))
    )
    return bottoms, tops


def require_rule(layer: AnyLayer, bottoms: Sequence[str], needed: Needed) -> None:
    """Raise GradientError unless a layer can compute the gradients that are needed. ``bottoms`` are the names
    of what it reads."""
    refused = sorted(layer.blind_bottoms - layer.silent_bottoms)
    blind = [i for i in refused if i < len(bottoms) and needed.bottoms[i]]
    if blind:
        raise GradientError(
            f"{layer.type} Layer cannot backpropagate to bottom {blind[0]}"
            f" ({bottoms[blind[0]]!r}), which depends on something that learns"
        )
    if not layer.has_gradient:
        raise GradientError(
            f"{layer.type} has no backward pass in Caffe, but a gradient is needed through it"
        )


def _loss_seed(g: GraphBuilder, net: Net, net_layer: NetLayer, index: int) -> list[str]:
    """Its loss weight as the gradient of a top. A weight that the definition does not give stands in the
    top's own gradient, where a layer that reads the top overwrites it: only given ones are added to that
    (Caffe's InsertSplits)."""
    weight = net_layer.loss_weights[index]
    if weight == 0 or (not net_layer.message.loss_weight and net.readers(net_layer.tops[index])):
        return []
    return [g.const(np.full(net.shapes[net_layer.tops[index]], weight, np.float32))]


def _total(g: GraphBuilder, gradients: Sequence[str]) -> str | None:
    """The sum in the order in which Caffe's Split adds its tops' gradients; None where there is none."""
    return g.sum_in_order(gradients) if gradients else None

"""The graph of a training step: from inputs and parameters to losses and gradients."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from vggrepro.emit import RuleSet, Value
from vggrepro.errors import NetError
from vggrepro.graph.assembly import Outputs, assemble_graph
from vggrepro.graph.backward_pass import BackwardPass, emit_backward
from vggrepro.graph.forward_pass import ForwardPass, emit_forward
from vggrepro.graph.free_sizes import FIXED, symbolic_dims
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import arriving_name, read_name
from vggrepro.graph.need_backward import needed_gradients
from vggrepro.graph.nodes import ends_last
from vggrepro.graph.weight_gradients import layers_of_weights
from vggrepro.layers.base import Needed
from vggrepro.net.net import Net
from vggrepro.net.transforms.cpu_training import for_cpu_training


def build_training_step(net: Net, rules: RuleSet | None = "cpu", *, without: Collection[str] = ()) -> Graph:
    """Forward and backward pass at the net's own input shapes, by a set of rules.

    The graph takes the net's inputs, the parameters under their owners' keys and states. It returns the
    whole loss, the net's outputs as ``blobs``, the ``gradients`` of the parameters that learn, next
    states and moved statistics. Of weights in ``without``, by key, it returns in place of the gradient what
    :func:`vggrepro.graph.weight_gradients.build_weight_gradients` makes it of. Raises NetError if nothing in
    the net has a loss weight, GradientError where Caffe has no backward pass.
    """
    if rules == "cpu":
        net = for_cpu_training(net)
    forward = emit_forward(net, symbolic_dims(net, FIXED), rules)
    needed = _without(net, needed_gradients(net, params=True, values=frozenset()), without)
    backward = emit_backward(forward, needed, {})
    loss = total_loss(forward)
    if not forward.g.on_cuda:  # there the nodes run in the order of the graph
        forward.g.nodes = ends_last(forward.g.nodes)
    owned = [use for use in net.param_uses if use.owner == use.key]
    outputs = Outputs(
        loss=loss,
        blobs=[blob for blob in net.outputs if blob not in net.inputs],
        gradients={
            use.key: Value(backward.params[use.key], use.definition.shape)
            for use in owned
            if use.key in backward.params
        },
        others=_factors(forward, backward, without),
    )
    return assemble_graph(forward, outputs, fed_params=owned)


def _without(net: Net, needed: Sequence[Needed], keys: Collection[str]) -> list[Needed]:
    """The gradients to compute, without those of some parameters."""
    return [
        replace(
            flags,
            params=tuple(
                wanted and use.key not in keys
                for wanted, use in zip(flags.params, net_layer.params, strict=True)
            ),
        )
        for flags, net_layer in zip(needed, net.layers, strict=True)
    ]


def _factors(forward: ForwardPass, backward: BackwardPass, keys: Collection[str]) -> dict[str, Value]:
    """What the layers of some weights read, and the gradients of their tops, where these have some."""
    net, factors = forward.net, {}
    for placed in layers_of_weights(net, keys):
        if placed.tops[0] in backward.values:
            (bottom,), (top,) = placed.bottoms, placed.tops
            factors[read_name(placed.name)] = Value(forward.tensors[bottom], net.shapes[bottom])
            factors[arriving_name(placed.name)] = Value(backward.values[top], net.shapes[top])
    return factors


def total_loss(forward: ForwardPass) -> str:
    """The sum of every loss times its weight, as Caffe's ``Net::Forward`` returns it. Raises NetError if
    nothing has a loss weight."""
    g, net = forward.g, forward.net
    terms = [
        g.op("Mul", _sum(forward, top), g.const(weight))
        for net_layer in net.layers
        for top, weight in zip(net_layer.tops, net_layer.loss_weights, strict=True)
        if weight != 0
    ]
    if not terms:
        raise NetError(f"net {net.name!r}: nothing to train: no layer has a loss weight")
    return g.sum_in_order(terms)


def _sum(forward: ForwardPass, value: str) -> str:
    """The sum over the elements of a value."""
    tensor = forward.tensors[value]
    return forward.g.op("ReduceSum", tensor, keepdims=0) if forward.net.shapes[value] else tensor

"""The training step's gradient graph: from inputs and parameters to the loss and the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggrepro.emit import GraphBuilder, Value, model, tensor_info
from vggrepro.errors import NetError
from vggrepro.graph.backward import emit_backward, plan
from vggrepro.graph.forward import (
    FIXED,
    Forward,
    custom_domains,
    emit_forward,
    input_infos,
    new_builder,
    next_infos,
    owner_views,
    state_infos,
    state_initializers,
    symbolic_dims,
)
from vggrepro.graph.metadata import metadata
from vggrepro.graph.model import Graph, initializers
from vggrepro.graph.naming import gradient_name, output_names, rename
from vggrepro.net.net import Net

LOSS = "loss:total"
"""The graph output with the sum of loss_weight times loss, as Caffe reports it."""


@dataclass(frozen=True)
class TrainGraph:
    """``graph`` takes the net's inputs, owned parameters and states; it gives ``LOSS``, the net's
    scalar outputs, ``d:<key>`` for each of ``learned``, and ``next:`` states and statistics."""

    graph: Graph
    learned: tuple[str, ...]
    scalars: tuple[str, ...]


def build_train(net: Net) -> TrainGraph:
    """The gradient graph of a training step, without inputs for outside gradients.

    Raises NetError if nothing in the net has a loss weight.
    """
    g = new_builder(net)
    dims = symbolic_dims(net, FIXED)
    owned = [use for use in net.param_uses if use.owner == use.key]
    values = {use.key: Value(use.key, use.definition.shape) for use in owned}
    values |= {u.key: Value(u.owner, net.params[u.owner].shape) for u in net.param_uses if u.owner != u.key}
    forward = emit_forward(g, net, dims, owner_views(g, net, values))
    flags = plan(net, params=True, values=frozenset())
    backward = emit_backward(g, net, forward, flags, {})
    total = total_loss(g, net, forward)
    learned = [use for use in owned if use.key in backward.params]
    names = output_names(net)
    scalars = tuple(b for b in net.outputs if net.outputs[b] == () and b not in net.inputs)
    nodes = rename(
        g.nodes,
        [
            *((backward.params[use.key], gradient_name(use.key)) for use in learned),
            (total, LOSS),
            *((t, n) for n, t in forward.next.items()),
            *((forward.tensors[net.blobs[b]], n) for b, n in names.items()),
        ],
    )
    protos, weights = initializers(g.constants)
    result = model(
        net.name or "net",
        nodes,
        [
            *input_infos(net, dims),
            *(tensor_info(use.key, use.definition.shape, np.float32) for use in owned),
            *state_infos(forward.states),
        ],
        [
            tensor_info(LOSS, [], np.float32),
            *(tensor_info(names[b], [], np.float32) for b in scalars),
            *(tensor_info(gradient_name(u.key), u.definition.shape, np.float32) for u in learned),
            *next_infos(net, forward),
        ],
        [*protos, *state_initializers(forward.states)],
        metadata(net),
        custom_domains(nodes),
    )
    return TrainGraph(Graph(result, weights), tuple(u.key for u in learned), scalars)


def total_loss(g: GraphBuilder, net: Net, forward: Forward) -> str:
    """The sum of every loss times its weight, as Caffe's ``Net::Forward`` returns it. Raises NetError if
    nothing has a loss weight."""
    terms: Sequence[str] = [
        g.op("Mul", _sum(g, forward.tensors[top], net.shapes[top]), g.const(weight))
        for placed in net.layers
        for top, weight in zip(placed.tops, placed.loss_weights, strict=True)
        if weight != 0
    ]
    if not terms:
        raise NetError(f"net {net.name!r}: nothing to train: no layer has a loss weight")
    total = terms[0]
    for term in terms[1:]:
        total = g.op("Add", total, term)
    return total


def _sum(g: GraphBuilder, blob: str, shape: tuple[int, ...]) -> str:
    return g.op("ReduceSum", blob, keepdims=0) if shape else blob

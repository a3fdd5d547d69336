"""The graph of a net that is tested while another is trained: parameters are inputs, so both share them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vggrepro.emit import Dims, Value, model, tensor_info
from vggrepro.errors import FixedShapeError, NetError, ShapeError
from vggrepro.graph.forward import (
    BATCH,
    FIXED,
    custom_domains,
    emit_forward,
    input_infos,
    new_builder,
    output_dims,
    owner_views,
    state_infos,
    state_initializers,
    symbolic_dims,
)
from vggrepro.graph.metadata import metadata
from vggrepro.graph.model import Graph, initializers
from vggrepro.graph.naming import output_names, rename
from vggrepro.graph.training_step import LOSS, total_loss
from vggrepro.net.net import Net


def build_test(net: Net, *, loss: bool = False) -> tuple[Graph, bool]:
    """A graph from the net's inputs and owned parameters to its outputs, under the blobs' names, and with
    ``loss`` to ``LOSS`` too; and whether the number of samples is free. States begin anew in each run."""
    try:
        return _build(net, symbolic_dims(net, BATCH), loss=loss), True
    except (FixedShapeError, ShapeError, NetError):
        return _build(net, symbolic_dims(net, FIXED), loss=loss), False


def _build(net: Net, dims: Mapping[str, Dims], *, loss: bool) -> Graph:
    g = new_builder(net)
    owned = [use for use in net.param_uses if use.owner == use.key]
    shapes = {use.key: use.definition.shape for use in owned}
    values = {u.key: Value(u.owner, shapes[u.owner]) for u in net.param_uses}
    forward = emit_forward(g, net, dims, owner_views(g, net, values))
    names = output_names(net)
    total = [(total_loss(g, net, forward), LOSS)] if loss else []
    nodes = rename(g.nodes, [*total, *((forward.tensors[net.blobs[b]], names[b]) for b in net.outputs)])
    protos, weights = initializers(g.constants)
    result = model(
        net.name or "net",
        nodes,
        [
            *input_infos(net, dims),
            *(tensor_info(key, shape, np.float32) for key, shape in shapes.items()),
            *state_infos(forward.states),
        ],
        [
            *(tensor_info(LOSS, [], np.float32) for _ in total),
            *(tensor_info(names[b], output_dims(net, dims, b), np.float32) for b in net.outputs),
        ],
        [*protos, *state_initializers(forward.states)],
        metadata(net),
        custom_domains(nodes),
    )
    return Graph(result, weights)

"""From the nodes of a pass to a finished graph: the one place that declares what goes in and comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vggrepro.emit import GraphBuilder, Infos, Value, model, tensor, tensor_info
from vggrepro.graph.forward_pass import ForwardPass
from vggrepro.graph.free_sizes import input_dims, output_dims
from vggrepro.graph.label_checks import label_checks
from vggrepro.graph.metadata import metadata
from vggrepro.graph.model import Graph, initializers
from vggrepro.graph.naming import LOSS, gradient_name, output_names
from vggrepro.graph.nodes import needed_nodes, rename, tensors_read
from vggrepro.net.net_layer import ParamUse

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Outputs:
    """What a graph returns, in this order."""

    loss: str | None = None
    """The tensor of the whole loss."""
    blobs: Sequence[str] = ()
    gradients: Mapping[str, Value] = field(default_factory=dict)
    """The tensor and shape of each gradient, by blob or parameter key."""
    others: Mapping[str, Value] = field(default_factory=dict)
    """Further tensors, by the names under which they are returned."""
    following: bool = True
    """Whether next states and moved parameters are returned."""


def assemble_graph(
    forward: ForwardPass,
    outputs: Outputs,
    *,
    weights: Arrays | None = None,
    fed_params: Sequence[ParamUse] = (),
    fed_gradients: Sequence[str] = (),
    extra_metadata: Mapping[str, str] | None = None,
) -> Graph:
    """The finished graph of a pass.

    It takes the net's inputs, then ``fed_params``, then the gradients of the blobs ``fed_gradients``, then
    states; gradients and states may be left out. With ``weights`` the parameters are part of the graph, and
    what no output needs is left out, nodes and weights alike.
    """
    returned = _outputs(forward, outputs)
    nodes = _named_nodes(forward, outputs)
    arrays: Arrays = forward.g.constants
    if weights is not None:
        nodes, used = needed_nodes(nodes, [info.name for info in returned])
        arrays = {name: array for name, array in {**weights, **arrays}.items() if name in used}
    protos, large = initializers(arrays)
    optional = _optional_inputs(forward, fed_params, fed_gradients)
    skeleton = model(
        forward.net.name or "net",
        nodes,
        _inputs(forward, fed_params, fed_gradients),
        returned,
        [*protos, *(tensor(name, array) for name, array in optional.items())],
        {**metadata(forward.net), **(extra_metadata or {})},
        sorted({node.domain for node in nodes if node.domain}),
    )
    skeleton.graph.value_info.extend(_custom_infos(forward, nodes, outputs.blobs))
    return _described(Graph(skeleton, large, forward.net.sources), forward, outputs)


def _described(graph: Graph, forward: ForwardPass, outputs: Outputs) -> Graph:
    """The graph, which now says what its inputs and outputs are."""
    names = output_names(forward.net)
    read = set().union(*map(tensors_read, graph.skeleton.graph.node))
    return replace(
        graph,
        label_checks=tuple(c for c in label_checks(forward.net, forward.dims) if c.inputs <= read),
        loss=None if outputs.loss is None else LOSS,
        blobs={blob: names[blob] for blob in outputs.blobs},
        gradients={of: gradient_name(of) for of in outputs.gradients},
        states=tuple(forward.states) if outputs.following else (),
        statistics=dict(forward.statistics) if outputs.following else {},
    )


def _named_nodes(forward: ForwardPass, outputs: Outputs) -> list[onnx.NodeProto]:
    """The nodes, with the names that outputs and blobs have in a finished graph."""
    net, following = forward.net, forward.following if outputs.following else {}
    return rename(
        forward.g.nodes,
        [
            *((value.name, gradient_name(of)) for of, value in outputs.gradients.items()),
            *((value.name, name) for name, value in outputs.others.items()),
            *([] if outputs.loss is None else [(outputs.loss, LOSS)]),
            *((forward.tensors[net.blobs[blob]], name) for blob, name in output_names(net).items()),
            *((made, name) for name, made in following.items()),
        ],
    )


def _inputs(forward: ForwardPass, params: Iterable[ParamUse], gradients: Iterable[str]) -> Infos:
    net = forward.net
    return [
        *(tensor_info(name, input_dims(net, forward.dims, name), np.float32) for name in net.inputs),
        *(tensor_info(use.key, use.definition.shape, np.float32) for use in params),
        *(tensor_info(gradient_name(b), net.shapes[net.blobs[b]], np.float32) for b in gradients),
        *(tensor_info(s.input, s.initial.shape, s.initial.dtype) for s in forward.states),
    ]


def _optional_inputs(
    forward: ForwardPass, params: Iterable[ParamUse], gradients: Iterable[str]
) -> dict[str, npt.NDArray[Any]]:
    """The values of inputs that are not fed: zero gradients, zeros for the further names of shared
    parameters (nothing reads them), and the initial states."""
    net = forward.net
    return {
        **{gradient_name(b): np.zeros(net.shapes[net.blobs[b]], np.float32) for b in gradients},
        **{u.key: np.zeros(u.definition.shape, np.float32) for u in params if u.owner != u.key},
        **{state.input: state.initial for state in forward.states},
    }


def _outputs(forward: ForwardPass, outputs: Outputs) -> Infos:
    net, names = forward.net, output_names(forward.net)
    return [
        *([] if outputs.loss is None else [tensor_info(LOSS, [], np.float32)]),
        *(tensor_info(names[b], output_dims(net, forward.dims, b), np.float32) for b in outputs.blobs),
        *(tensor_info(gradient_name(of), v.dims, np.float32) for of, v in outputs.gradients.items()),
        *(tensor_info(name, v.dims, np.float32) for name, v in outputs.others.items()),
        *(_following_infos(forward) if outputs.following else []),
    ]


def _following_infos(forward: ForwardPass) -> Infos:
    """Declarations of the outputs that hold next states and moved parameters."""
    declared = {s.output: tensor_info(s.output, s.initial.shape, s.initial.dtype) for s in forward.states}
    for use in forward.net.param_uses:
        if use.key in forward.statistics:
            name = forward.statistics[use.key]
            declared[name] = tensor_info(name, use.definition.shape, np.float32)
    return [declared[name] for name in forward.following]


def _custom_infos(forward: ForwardPass, nodes: Iterable[onnx.NodeProto], outputs: Iterable[str]) -> Infos:
    """Declarations of the blobs that custom nodes give: no shape inference can find them. Outputs are
    declared already."""
    net, returned = forward.net, set(outputs)
    blobs = {name: blob for blob, name in output_names(net).items() if blob not in returned}
    made = [name for node in nodes if node.domain for name in node.output if name in blobs]
    return [tensor_info(name, output_dims(net, forward.dims, blobs[name]), np.float32) for name in made]


def assemble_plain(
    name: str, g: GraphBuilder, inputs: Infos, outputs: Infos, tensors: Mapping[str, str]
) -> Graph:
    """A finished graph that belongs to no net: ``tensors`` holds the tensor of each output by its name. What
    no output needs is left out."""
    nodes, used = needed_nodes(g.nodes, tensors.values())
    skeleton = model(
        name,
        rename(nodes, [(made, output) for output, made in tensors.items()]),
        inputs,
        outputs,
        [tensor(constant, array) for constant, array in g.constants.items() if constant in used],
        {},
    )
    return Graph(skeleton, {})

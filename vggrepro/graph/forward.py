"""The forward walk: a Net to an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vggrepro.emit import Dims, GraphBuilder, Shape, Value, model, tensor, tensor_info
from vggrepro.errors import FixedShapeError, NetError, ShapeError
from vggrepro.graph.metadata import metadata
from vggrepro.graph.model import Graph, initializers
from vggrepro.graph.naming import needed_nodes, next_name, output_names, rename, state_name
from vggrepro.layers.base import StateDef
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.shapes import PROBES, probe
from vggrepro.net.transforms.fully_convolutional import fully_convolutional as to_fully_convolutional

BATCH = frozenset({0})
BATCH_AND_SIZE = frozenset({0, 2, 3})
FIXED: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Forward:
    """What the forward walk leaves: the tensor of each value, what each layer saved, and the new
    values of moved parameters and states under the names of :func:`next_name`."""

    tensors: Mapping[str, str]
    saved: tuple[Any, ...]
    next: Mapping[str, str]
    states: tuple[tuple[str, StateDef], ...]


def to_onnx(
    net: Net, *, outputs: Sequence[str] | None = None, fully_convolutional: bool = False
) -> onnx.ModelProto:
    """The net as an ONNX model. Inputs and outputs bear the blobs' names, float32.

    Every size of an input that the net leaves free is symbolic: the batch always where layers
    allow it, height and width where no fully connected layer fixes them. ``outputs`` names the
    blobs to return (default: those that no layer consumes); a blob that layers change in place
    means its last value (of an input that is changed in place, that value is called ``blob#layer``: ONNX
    lets no output bear an input's name). Nets with state (LSTM, RNN, BatchNorm and Dropout in TRAIN)
    have optional inputs ``state:<layer>:<name>`` and outputs ``next:<layer>:<name or index>`` besides.
    ``fully_convolutional`` turns fully connected layers into convolutions (section 3.2 of the paper).

    Raises NetError for an unknown blob, FixedShapeError if a fully convolutional model cannot be
    free in height and width.
    """
    graph = build_forward(net, outputs=outputs, fully_convolutional=fully_convolutional)
    return graph.to_model()


def build_forward(
    net: Net,
    *,
    outputs: Sequence[str] | None = None,
    fully_convolutional: bool = False,
    fixed: bool = False,
    extra_metadata: Mapping[str, str] | None = None,
) -> Graph:
    """As :func:`to_onnx`, with the weights left outside. ``fixed`` keeps the net's own input shapes."""
    if fully_convolutional:
        net = to_fully_convolutional(net)
    wanted = list(net.outputs if outputs is None else outputs)
    for blob in wanted:
        if blob not in net.blobs:
            raise NetError(f"net {net.name!r}: no blob {blob!r} to output; it has {', '.join(net.blobs)}")
    if not wanted:
        raise NetError(f"net {net.name!r}: no blob to output: every one is consumed, or there is none")
    choices = [BATCH_AND_SIZE] if fully_convolutional else [BATCH_AND_SIZE, BATCH, FIXED]
    for free in [FIXED] if fixed else choices:
        try:
            return _build(net, symbolic_dims(net, free), wanted, extra_metadata or {})
        except (FixedShapeError, ShapeError, NetError):
            if free == choices[-1]:
                raise
    raise AssertionError("unreachable")


def _build(net: Net, dims: Mapping[str, Dims], wanted: Sequence[str], extra: Mapping[str, str]) -> Graph:
    g = new_builder(net)
    params = {use.key: Value(use.key, use.definition.shape) for use in net.param_uses}
    forward = emit_forward(g, net, dims, owner_views(g, net, params))
    names = output_names(net)
    outputs = [tensor_info(names[b], output_dims(net, dims, b), np.float32) for b in dict.fromkeys(wanted)]
    moved = next_infos(net, forward)
    renamed = rename(g.nodes, [*blob_names(net, forward, names), *((t, n) for n, t in forward.next.items())])
    nodes, used = needed_nodes(renamed, [info.name for info in (*outputs, *moved)])
    arrays = {use.key: net.params[use.key] for use in net.param_uses if use.owner == use.key}
    protos, weights = initializers({n: a for n, a in {**arrays, **g.constants}.items() if n in used})
    result = model(
        net.name or "net",
        nodes,
        [*input_infos(net, dims), *state_infos(forward.states)],
        [*outputs, *moved],
        [*protos, *state_initializers(forward.states)],
        {**metadata(net), **extra},
        custom_domains(nodes),
    )
    result.graph.value_info.extend(_custom_infos(net, dims, names, nodes, wanted))
    return Graph(result, weights, net.sources)


def _custom_infos(
    net: Net,
    dims: Mapping[str, Dims],
    names: Mapping[str, str],
    nodes: Iterable[onnx.NodeProto],
    outputs: Sequence[str],
) -> list[onnx.ValueInfoProto]:
    """Declarations of what custom nodes give, which no shape inference can find."""
    blobs = {names[blob]: blob for blob in net.blobs if blob not in outputs}
    made = [name for node in nodes if node.domain for name in node.output if name in blobs]
    return [tensor_info(name, output_dims(net, dims, blobs[name]), np.float32) for name in made]


def new_builder(net: Net) -> GraphBuilder:
    """A builder that leaves the names of blobs and parameters to them."""
    g = GraphBuilder()
    for name in [*net.shapes, *net.blobs, *(use.key for use in net.param_uses)]:
        g.reserve(name)
    return g


def owner_views(g: GraphBuilder, net: Net, params: Mapping[str, Value]) -> dict[str, Value]:
    """For every key the tensor to read: the owner's, reshaped where PERMISSIVE sharing changes it."""
    views = dict(params)
    for use in net.param_uses:
        owner = params[use.owner]
        if owner.dims == use.definition.shape:
            views[use.key] = owner
        else:
            name = g.op("Reshape", owner.name, g.ints(use.definition.shape))
            views[use.key] = Value(name, use.definition.shape)
    return views


def emit_forward(g: GraphBuilder, net: Net, dims: Mapping[str, Dims], params: Mapping[str, Value]) -> Forward:
    """Add every layer of the net to ``g``, in order."""
    tensors = {top: top for placed in net.layers if placed.layer.source for top in placed.tops}
    saved: list[Any] = []
    moved: dict[str, str] = {}
    states: list[tuple[str, StateDef]] = []
    for placed in net.layers:
        if placed.layer.source:
            saved.append(None)
            continue
        bottoms = [Value(tensors[b], dims[b]) for b in placed.bottoms]
        _require_fixed(net, placed, bottoms)
        definitions = _states(net, placed, dims)
        inputs = [
            Value(state_name(placed.name, d.name), d.initial.shape, d.initial.dtype) for d in definitions
        ]
        with g.scope(placed.name):
            emitted = placed.layer.emit(g, bottoms, [params[use.key] for use in placed.params], inputs)
        tensors.update(zip(placed.tops, emitted.tops, strict=True))
        saved.append(emitted.saved)
        states.extend((placed.name, d) for d in definitions)
        moved.update({next_name(placed.name, i): t for i, t in emitted.next_params.items()})
        moved.update(
            {next_name(placed.name, d.name): t for d, t in zip(definitions, emitted.next_states, strict=True)}
        )
    return Forward(tensors, tuple(saved), moved, tuple(states))


def _require_fixed(net: Net, placed: NetLayer, bottoms: Sequence[Value]) -> None:
    axes = placed.layer.fixed_axes([net.shapes[b] for b in placed.bottoms])
    if any(axis < bottom.rank and bottom.dims[axis] is None for bottom in bottoms for axis in axes):
        raise FixedShapeError(f"layer {placed.name!r}: axes {sorted(axes)} must be fixed at these sizes")


def _states(net: Net, placed: NetLayer, dims: Mapping[str, Dims]) -> tuple[StateDef, ...]:
    """A layer's states; their sizes are part of the graph, so they fix the sizes they come from."""
    definitions = placed.layer.state_defs([net.shapes[b] for b in placed.bottoms])
    probed = [
        tuple(s + 1 if d is None else s for s, d in zip(net.shapes[b], dims[b], strict=True))
        for b in placed.bottoms
    ]
    if any(net.shapes[b] != p for b, p in zip(placed.bottoms, probed, strict=True)):
        changed = placed.layer.state_defs(probed)
        if any(a.initial.shape != b.initial.shape for a, b in zip(definitions, changed, strict=True)):
            raise FixedShapeError(f"layer {placed.name!r}: its state has a fixed size")
    return definitions


def symbolic_dims(net: Net, free: frozenset[int]) -> dict[str, Dims]:
    """The dims of every value when the ``free`` axes of the inputs are symbolic.

    The shape rules themselves tell what depends on them: they are run a second time with other
    sizes, and what changes is symbolic. Axes beyond 0 are freed on four-dimensional inputs alone.
    Raises what the rules raise where a layer does not allow the change.
    """
    if not free:
        return {value: tuple(shape) for value, shape in net.shapes.items()}
    shapes = _probed_shapes(net, free)
    return {
        value: tuple(a if a == b else None for a, b in zip(shape, shapes[value], strict=True))
        for value, shape in net.shapes.items()
    }


def _probed_shapes(net: Net, free: frozenset[int]) -> Mapping[str, Shape]:
    first, second = PROBES
    try:
        return net.reshape(probe(net.inputs, free, first)).shapes
    except NetError:
        return net.reshape(probe(net.inputs, free, second)).shapes


def input_infos(net: Net, dims: Mapping[str, Dims]) -> list[onnx.ValueInfoProto]:
    """Declarations of the inputs; symbolic sizes get the names N, H, W, with the blob's where
    several inputs differ."""
    names = {name: _symbols(net, name, dims[name]) for name in net.inputs}
    return [tensor_info(name, symbols, np.float32) for name, symbols in names.items()]


def _symbols(net: Net, name: str, dims: Dims) -> list[int | str]:
    first = next(iter(net.inputs))
    result: list[int | str] = []
    for axis, size in enumerate(dims):
        if size is not None:
            result.append(size)
            continue
        letter = {0: "N", 2: "H", 3: "W"}[axis]
        shape, lead = net.inputs[name], net.inputs[first]
        shared = axis < len(lead) and lead[axis] == shape[axis] and (axis == 0 or len(lead) == len(shape))
        result.append(letter if shared else f"{letter}_{name}")
    return result


def output_dims(net: Net, dims: Mapping[str, Dims], blob: str) -> list[int | str | None]:
    """The declared sizes of an output: the batch keeps its symbol, other free sizes have none."""
    value = net.blobs[blob]
    first = next(iter(net.inputs), None)
    leads = first is not None and dims[first][:1] == (None,)
    return [
        "N"
        if axis == 0 and size is None and leads and net.shapes[value][0] == net.inputs[first or ""][0]
        else size
        for axis, size in enumerate(dims[value])
    ]


def blob_names(net: Net, forward: Forward, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(tensor, blob's name) for every blob: the pairs that ``rename`` takes."""
    return [(forward.tensors[net.blobs[blob]], name) for blob, name in names.items()]


def state_infos(states: Iterable[tuple[str, StateDef]]) -> list[onnx.ValueInfoProto]:
    return [tensor_info(state_name(n, d.name), d.initial.shape, d.initial.dtype) for n, d in states]


def state_initializers(states: Iterable[tuple[str, StateDef]]) -> list[onnx.TensorProto]:
    return [tensor(state_name(n, d.name), d.initial) for n, d in states]


def next_infos(net: Net, forward: Forward) -> list[onnx.ValueInfoProto]:
    """Declarations of the outputs that hold new states and moved parameters."""
    shapes: dict[str, tuple[tuple[int, ...], npt.DTypeLike]] = {
        next_name(layer, d.name): (d.initial.shape, d.initial.dtype) for layer, d in forward.states
    }
    for placed in net.layers:
        for index, use in enumerate(placed.params):
            shapes[next_name(placed.name, index)] = (use.definition.shape, np.float32)
    return [tensor_info(name, *shapes[name]) for name in forward.next]


def custom_domains(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    return sorted({node.domain for node in nodes if node.domain})

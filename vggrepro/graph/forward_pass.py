"""The forward walk: every layer of a net, added in order to a graph under construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vggrepro.emit import Dims, GraphBuilder, RuleSet, Value
from vggrepro.errors import FixedShapeError, naming
from vggrepro.graph.model import State
from vggrepro.graph.naming import next_name, state_name
from vggrepro.layers.base import Emitted, StateDef
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer


@dataclass(frozen=True)
class ForwardPass:
    """A net's forward pass in the graph that ``g`` builds. ``dims`` are the sizes of every value, None where
    they are free. Parameters are read under their owners' keys, inputs under the blobs' names."""

    net: Net
    g: GraphBuilder
    dims: Mapping[str, Dims]
    tensors: dict[str, str] = field(default_factory=dict)
    """The tensor of each value."""
    saved: list[Any] = field(default_factory=list)
    """What each layer saved for its backward rule; None for sources."""
    states: list[State] = field(default_factory=list)
    statistics: dict[str, str] = field(default_factory=dict)
    """For each parameter that the pass moves, by key, the graph output of its new value."""
    following: dict[str, str] = field(default_factory=dict)
    """The tensor of each next state and moved parameter by the graph output it shall be, in order."""


def emit_forward(net: Net, dims: Mapping[str, Dims], rules: RuleSet | None = None) -> ForwardPass:
    """A graph with every layer of the net, in order, by a set of rules (None: of plain
    operators). Raises FixedShapeError where a layer needs a size that ``dims`` leaves free."""
    g = _new_builder(net, rules)
    params = _parameter_tensors(g, net)
    forward = ForwardPass(net, g, dims)
    forward.tensors.update(
        (top, top) for net_layer in net.layers if net_layer.layer.source for top in net_layer.tops
    )
    for net_layer in net.layers:
        if net_layer.layer.source:
            forward.saved.append(None)
            continue
        bottoms = [Value(forward.tensors[b], dims[b]) for b in net_layer.bottoms]
        _require_fixed(net, net_layer, bottoms)
        states = [_state(net_layer.name, definition) for definition in _state_defs(net, net_layer, dims)]
        inputs = [Value(s.input, s.initial.shape, s.initial.dtype) for s in states]
        with g.scope(net_layer.name), naming(net_layer.place):
            emitted = net_layer.layer.emit(g, bottoms, [params[use.key] for use in net_layer.params], inputs)
        forward.tensors.update(zip(net_layer.tops, emitted.tops, strict=True))
        forward.saved.append(emitted.saved)
        forward.states.extend(states)
        _add_following(forward, net_layer, states, emitted)
    return forward


def _new_builder(net: Net, rules: RuleSet | None) -> GraphBuilder:
    """A builder that leaves the names of blobs and parameters to them."""
    g = GraphBuilder(rules)
    for name in [*net.shapes, *net.blobs, *(use.key for use in net.param_uses)]:
        g.reserve(name)
    return g


def _parameter_tensors(g: GraphBuilder, net: Net) -> dict[str, Value]:
    """For every key the tensor to read: the owner's, reshaped where PERMISSIVE sharing changes it."""
    shapes = {use.key: use.definition.shape for use in net.param_uses}
    tensors = {}
    for use in net.param_uses:
        shape = use.definition.shape
        owner = Value(use.owner, shapes[use.owner])
        same = owner.dims == shape
        tensors[use.key] = owner if same else Value(g.op("Reshape", owner.name, g.ints(shape)), shape)
    return tensors


def _state(layer: str, definition: StateDef) -> State:
    name = definition.name
    return State(state_name(layer, name), next_name(layer, name), definition.initial, definition.random)


def _add_following(
    forward: ForwardPass, net_layer: NetLayer, states: Sequence[State], emitted: Emitted[Any]
) -> None:
    """Note which outputs the graph needs for what a layer moved: parameters first, then states."""
    for index, tensor in emitted.next_params.items():
        name = next_name(net_layer.name, index)
        forward.statistics[net_layer.params[index].key] = name
        forward.following[name] = tensor
    for state, tensor in zip(states, emitted.next_states, strict=True):
        forward.following[state.output] = tensor


def _require_fixed(net: Net, net_layer: NetLayer, bottoms: Sequence[Value]) -> None:
    axes = net_layer.layer.fixed_axes([net.shapes[b] for b in net_layer.bottoms])
    if any(axis < bottom.rank and bottom.dims[axis] is None for bottom in bottoms for axis in axes):
        raise FixedShapeError(f"layer {net_layer.name!r}: axes {sorted(axes)} must be fixed at these sizes")


def _state_defs(net: Net, net_layer: NetLayer, dims: Mapping[str, Dims]) -> tuple[StateDef, ...]:
    """A layer's states; their sizes are part of the graph, so they fix the sizes they come from."""
    definitions = net_layer.layer.state_defs([net.shapes[b] for b in net_layer.bottoms])
    probed = [
        tuple(s + 1 if d is None else s for s, d in zip(net.shapes[b], dims[b], strict=True))
        for b in net_layer.bottoms
    ]
    if any(net.shapes[b] != p for b, p in zip(net_layer.bottoms, probed, strict=True)):
        changed = net_layer.layer.state_defs(probed)
        if any(a.initial.shape != b.initial.shape for a, b in zip(definitions, changed, strict=True)):
            raise FixedShapeError(f"layer {net_layer.name!r}: its state has a fixed size")
    return definitions

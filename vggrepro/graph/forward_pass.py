"""The forward walk: every layer of a net, added in order to a graph under construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.errors import FixedShapeError
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


def emit_forward(net: Net, dims: Mapping[str, Dims]) -> ForwardPass:
    """A graph with every layer of the net, in order. Raises FixedShapeError where a layer needs a size that
    ``dims`` leaves free."""
    g = _new_builder(net)
    params = _parameter_tensors(g, net)
    forward = ForwardPass(net, g, dims)
    forward.tensors.update((top, top) for placed in net.layers if placed.layer.source for top in placed.tops)
    for placed in net.layers:
        if placed.layer.source:
            forward.saved.append(None)
            continue
        bottoms = [Value(forward.tensors[b], dims[b]) for b in placed.bottoms]
        _require_fixed(net, placed, bottoms)
        states = [_state(placed.name, definition) for definition in _state_defs(net, placed, dims)]
        inputs = [Value(s.input, s.initial.shape, s.initial.dtype) for s in states]
        with g.scope(placed.name):
            emitted = placed.layer.emit(g, bottoms, [params[use.key] for use in placed.params], inputs)
        forward.tensors.update(zip(placed.tops, emitted.tops, strict=True))
        forward.saved.append(emitted.saved)
        forward.states.extend(states)
        _add_following(forward, placed, states, emitted)
    return forward


def _new_builder(net: Net) -> GraphBuilder:
    """A builder that leaves the names of blobs and parameters to them."""
    g = GraphBuilder()
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


def _add_following(forward: ForwardPass, placed: NetLayer, states: Sequence[State], emitted: Emitted) -> None:
    """Note which outputs the graph needs for what a layer moved: parameters first, then states."""
    for index, tensor in emitted.next_params.items():
        name = next_name(placed.name, index)
        forward.statistics[placed.params[index].key] = name
        forward.following[name] = tensor
    for state, tensor in zip(states, emitted.next_states, strict=True):
        forward.following[state.output] = tensor


def _require_fixed(net: Net, placed: NetLayer, bottoms: Sequence[Value]) -> None:
    axes = placed.layer.fixed_axes([net.shapes[b] for b in placed.bottoms])
    if any(axis < bottom.rank and bottom.dims[axis] is None for bottom in bottoms for axis in axes):
        raise FixedShapeError(f"layer {placed.name!r}: axes {sorted(axes)} must be fixed at these sizes")


def _state_defs(net: Net, placed: NetLayer, dims: Mapping[str, Dims]) -> tuple[StateDef, ...]:
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

"""The backward walk: gradients at the level of Caffe's layers, as one ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import onnx

from vggrepro.emit import Dims, GraphBuilder, Shape, Value, model, tensor, tensor_info
from vggrepro.errors import GradientError, NetError
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
from vggrepro.layers.base import Needed
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer


def plan(net: Net, *, params: bool, values: frozenset[str]) -> tuple[Needed, ...]:
    """Which gradients the walk computes, for each layer: Caffe's need-backward rules (``Net::Init``).

    A bottom needs a gradient if something before it learns, unless ``propagate_down`` says
    otherwise; a parameter if its lr_mult is not 0. ``force_backward`` overrides both. ``values``
    are wanted besides.
    """
    force = net.message.force_backward
    learned: set[str] = set()  # what depends on a parameter that learns
    needs: set[str] = set(values)  # that, and what depends on a wanted value
    needed: list[Needed] = []
    for placed in net.layers:
        bottoms = tuple(
            _propagates(placed, index, value in learned)
            or (
                index not in placed.layer.blind_bottoms
                and (force or _propagates(placed, index, value in needs))
            )
            for index, value in enumerate(placed.bottoms)
        )
        learns = tuple(
            params and not use.definition.statistic and (force or use.needs_gradient) for use in placed.params
        )
        needed.append(Needed(bottoms, learns))
        if any(learns) or any(bottoms):
            needs.update(placed.tops)
        if any(learns) or any(value in learned for value in placed.bottoms):
            learned.update(placed.tops)
    return _prune(net, needed, values)


def _propagates(placed: NetLayer, index: int, needs: bool) -> bool:
    """``propagate_down`` decides where it is given: false cuts the branch, true forces it."""
    return placed.propagate_down[index] if placed.propagate_down else needs


def _prune(net: Net, needed: Sequence[Needed], values: frozenset[str]) -> tuple[Needed, ...]:
    """Leave out bottom gradients that end nowhere: no parameter and no wanted value lies before."""
    reaches: set[str] = set(values)
    pruned = []
    for placed, flags in zip(net.layers, needed, strict=True):
        bottoms = tuple(
            wanted and (value in reaches) for wanted, value in zip(flags.bottoms, placed.bottoms, strict=True)
        )
        pruned.append(Needed(bottoms, flags.params))
        if any(bottoms) or any(flags.params):
            reaches.update(placed.tops)
    return tuple(pruned)


@dataclass(frozen=True)
class Backward:
    """Tensors of gradients: of values, and of parameters by key (a shared one's under each key)."""

    values: Mapping[str, str]
    params: Mapping[str, str]


def emit_backward(
    g: GraphBuilder, net: Net, forward: Forward, flags: Sequence[Needed], seeds: Mapping[str, str]
) -> Backward:
    """Add the gradients to ``g``: the layers in reverse, each by its own rule.

    ``seeds`` holds the gradients that come from outside, by value; loss weights are added here.
    A value with several readers gets the sum of theirs.
    """
    arriving: dict[str, list[str]] = {value: [tensor] for value, tensor in seeds.items()}
    values: dict[str, str | None] = {}
    params: dict[str, list[str]] = {}
    definitions = {use.key: use.definition for use in net.param_uses}
    for placed, saved, needed in reversed(list(zip(net.layers, forward.saved, flags, strict=True))):
        with g.scope(f"d:{placed.name}"):
            d_tops = [
                _total(g, [*_loss_seed(g, net, placed, i), *arriving.pop(top, [])])
                for i, top in enumerate(placed.tops)
            ]
            values.update(zip(placed.tops, d_tops, strict=True))
            if all(d is None for d in d_tops) or not any((*needed.bottoms, *needed.params)):
                continue
            _require_rule(placed, needed)
            found = placed.layer.reread(saved, *_last_contents(net, forward, placed))
            gradients = placed.layer.grad(g, found, d_tops, needed)
        for value, d in zip(placed.bottoms, gradients.bottoms, strict=False):
            if d is not None:
                arriving.setdefault(value, []).insert(0, d)
        for use, d in zip(placed.params, gradients.params, strict=False):
            if d is not None:
                shape = definitions[use.owner].shape
                params.setdefault(use.owner, []).append(_shaped(g, d, use.definition.shape, shape))
    owned = {owner: _total(g, ds[::-1]) for owner, ds in params.items()}
    return Backward(
        {value: d for value, d in values.items() if d is not None},
        {
            use.key: _shaped(g, d, definitions[use.owner].shape, use.definition.shape)
            for use in net.param_uses
            if (d := owned.get(use.owner)) is not None
        },
    )


def _shaped(g: GraphBuilder, d: str, shape: Shape, wanted: Shape) -> str:
    """PERMISSIVE sharing lets layers see one parameter in different shapes."""
    return d if shape == wanted else g.op("Reshape", d, g.ints(wanted))


def _last_contents(net: Net, forward: Forward, placed: NetLayer) -> tuple[list[str], list[str]]:
    """The tensors that a layer's bottoms and tops hold after the whole forward pass: as Caffe's backward
    finds them, which reads a blob that later layers changed in place.

    DEVIATION: Caffe's Reshape, Flatten and Split share memory with their bottom, so a layer that works
    in place on their top changes that bottom too. Here it does not."""
    message = placed.message
    last = [
        [forward.tensors[net.blobs.get(blob, value)] for blob, value in zip_longest(blobs, values)]
        for blobs, values in ((message.bottom, placed.bottoms), (message.top, placed.tops))
    ]
    return last[0], last[1]


def _require_rule(placed: NetLayer, needed: Needed) -> None:
    blind = [i for i in sorted(placed.layer.blind_bottoms) if i < len(placed.bottoms) and needed.bottoms[i]]
    if blind:
        raise GradientError(
            f"layer {placed.name!r}: {placed.layer.type} Layer cannot backpropagate to bottom {blind[0]}"
            f" ({placed.bottoms[blind[0]]!r}), which depends on something that learns"
        )
    if not placed.layer.has_gradient:
        raise GradientError(
            f"layer {placed.name!r}: {placed.layer.type} has no backward pass in Caffe, but a gradient"
            " is needed through it"
        )


def _loss_seed(g: GraphBuilder, net: Net, placed: NetLayer, index: int) -> list[str]:
    """Its loss weight as the gradient of a top. A weight that the definition does not give stands in the
    top's own gradient, where a layer that reads the top overwrites it: only given ones are added to that
    (Caffe's InsertSplits)."""
    weight = placed.loss_weights[index]
    if weight == 0 or (not placed.message.loss_weight and net.readers(placed.tops[index])):
        return []
    return [g.const(np.full(net.shapes[placed.tops[index]], weight, np.float32))]


def _total(g: GraphBuilder, gradients: Sequence[str]) -> str | None:
    """The sum, left to right as Caffe's Split adds its tops' gradients."""
    total: str | None = None
    for d in gradients:
        total = d if total is None else g.op("Add", total, d)
    return total


def gradient_model(net: Net, *, params: bool = True, inputs: Sequence[str] = ()) -> onnx.ModelProto:
    """The gradients of a net as a plain ONNX graph, at the net's own input shapes.

    Graph inputs: the net's inputs, every parameter as ``layer:index``, and ``d:<top>`` for each
    output that is no loss: its gradient, zero where it is not fed. Graph outputs: ``d:<blob>`` for
    the blobs named in ``inputs`` (any blob may be; of one that is changed in place, the gradient of
    its first value, as Caffe leaves it in the blob's diff), and ``d:<layer>:<index>`` for each
    parameter, zero where none flows (lr_mult 0, ``propagate_down: false``). A shared parameter is read
    under its owner's name (its other names are optional inputs without effect) and its summed
    gradient stands under each name. States are as in :func:`vggrepro.to_onnx`.

    Raises NetError for an unknown blob, GradientError where Caffe has no backward pass and for a
    blob that is such an output itself.
    """
    return build_gradient(net, params=params, inputs=inputs).to_model()


def build_gradient(net: Net, *, params: bool = True, inputs: Sequence[str] = ()) -> Graph:
    """As :func:`gradient_model`, with large constants left outside."""
    for blob in inputs:
        if blob not in net.blobs:
            raise NetError(f"net {net.name!r}: no blob {blob!r}; it has {', '.join(net.blobs)}")
    tops = open_tops(net)
    if set(inputs) & set(tops):
        raise GradientError(
            f"blob {min(set(inputs) & set(tops))!r} is an output: its gradient is fed, not computed"
        )
    g = new_builder(net)
    dims = symbolic_dims(net, FIXED)
    values = {use.key: Value(use.key, use.definition.shape) for use in net.param_uses}
    forward = emit_forward(g, net, dims, owner_views(g, net, values))
    flags = plan(net, params=params, values=frozenset(inputs))
    backward = emit_backward(g, net, forward, flags, _seeds(net, tops))
    wanted = {gradient_name(b): (backward.values.get(b), net.shapes[b]) for b in inputs}
    if params:
        for use in net.param_uses:
            wanted[gradient_name(use.key)] = (backward.params.get(use.key), use.definition.shape)
    return _assemble(g, net, dims, forward, tops, wanted)


def open_tops(net: Net) -> list[str]:
    """The outputs whose gradient may come from outside: those that are no loss."""
    losses = {top for p in net.layers for top, w in zip(p.tops, p.loss_weights, strict=True) if w != 0}
    return [blob for blob in net.outputs if net.blobs[blob] not in losses]


def _seeds(net: Net, tops: Sequence[str]) -> dict[str, str]:
    """The outside gradients that go anywhere: Caffe runs no backward for an Accuracy that is only watched."""
    watched = {top for p in net.layers if not p.layer.has_gradient for top in p.tops}
    return {net.blobs[top]: gradient_name(top) for top in tops if net.blobs[top] not in watched}


def _assemble(
    g: GraphBuilder,
    net: Net,
    dims: Mapping[str, Dims],
    forward: Forward,
    tops: Sequence[str],
    wanted: Mapping[str, tuple[str | None, tuple[int, ...]]],
) -> Graph:
    outputs = [
        (d if d is not None else g.op("Expand", g.const(0), g.ints(shape)), name)
        for name, (d, shape) in wanted.items()
    ]
    blobs = [(forward.tensors[net.blobs[b]], n) for b, n in output_names(net).items()]
    moved = [(t, n) for n, t in forward.next.items()]
    nodes = rename(g.nodes, [*outputs, *moved, *blobs])
    shared = [use for use in net.param_uses if use.owner != use.key]
    optional = {
        **{gradient_name(t): np.zeros(net.shapes[net.blobs[t]], np.float32) for t in tops},
        **{use.key: np.zeros(use.definition.shape, np.float32) for use in shared},
    }
    protos, weights = initializers(g.constants)
    result = model(
        net.name or "net",
        nodes,
        [
            *input_infos(net, dims),
            *(tensor_info(u.key, u.definition.shape, np.float32) for u in net.param_uses),
            *(tensor_info(gradient_name(t), net.shapes[net.blobs[t]], np.float32) for t in tops),
            *state_infos(forward.states),
        ],
        [
            *(tensor_info(name, shape, np.float32) for name, (_, shape) in wanted.items()),
            *next_infos(net, forward),
        ],
        [*protos, *(tensor(n, a) for n, a in optional.items()), *state_initializers(forward.states)],
        metadata(net),
        custom_domains(nodes),
    )
    return Graph(result, weights, net.sources)

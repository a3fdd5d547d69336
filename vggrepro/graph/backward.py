"""Gradient graphs: the gradients of a net as an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from vggrepro.emit import RuleSet, Shape, Value
from vggrepro.errors import GradientError, NetError, did_you_mean
from vggrepro.graph.assembly import Outputs, assemble_graph
from vggrepro.graph.backward_pass import emit_backward
from vggrepro.graph.forward_pass import ForwardPass, emit_forward
from vggrepro.graph.free_sizes import FIXED, symbolic_dims
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import gradient_name
from vggrepro.graph.need_backward import needed_gradients
from vggrepro.net.net import Net


def gradient_model(net: Net, *, params: bool = True, inputs: Sequence[str] = ()) -> onnx.ModelProto:
    """The gradients of a net as a plain ONNX graph, at the net's own input shapes.

    Graph inputs: the net's inputs, every parameter as ``layer:index``, and ``d:<top>`` for each
    output that is no loss: its gradient, zero where it is not fed. Graph outputs: ``d:<blob>`` for
    the blobs named in ``inputs`` (any blob may be; of one that is changed in place, the gradient of
    its first value, as Caffe leaves it in the blob's diff), and ``d:<layer>:<index>`` for each
    parameter, zero where none flows (lr_mult 0, ``propagate_down: false``). A shared parameter is read
    under its owner's name (its other names are optional inputs without effect) and its summed
    gradient stands under each name. States are as in :func:`vggrepro.to_onnx`.

    Raises NetError for an unknown blob, GradientError where Caffe has no backward pass, for a blob that is
    such an output itself, and where there is nothing to take a gradient of.
    """
    return build_gradient(net, params=params, inputs=inputs).to_model()


def build_gradient(
    net: Net, *, params: bool = True, inputs: Sequence[str] = (), rules: RuleSet | None = None
) -> Graph:
    """As :func:`gradient_model`, by the rules for a kind of rules, with large constants left outside."""
    for blob in inputs:
        if blob not in net.blobs:
            there = f"it has {', '.join(net.blobs)}{did_you_mean(blob, net.blobs)}"
            raise NetError(f"net {net.name!r}: no blob {blob!r}; {there}")
    tops = open_tops(net)
    if set(inputs) & set(tops):
        raise GradientError(
            f"blob {min(set(inputs) & set(tops))!r} is an output: its gradient is fed, not computed"
        )
    if not inputs and not (params and net.param_uses):
        lacks = "no parameters" if params else "nothing else asked of it"
        raise GradientError(f"net {net.name!r}: has {lacks}: name blobs in inputs to take their gradients")
    forward = emit_forward(net, symbolic_dims(net, FIXED), rules)
    needed = needed_gradients(net, params=params, values=frozenset(inputs))
    backward = emit_backward(forward, needed, _fed_values(net, tops))
    uses = net.param_uses if params else ()
    gradients = {blob: _or_zeros(forward, backward.values.get(blob), net.shapes[blob]) for blob in inputs}
    for use in uses:
        gradients[use.key] = _or_zeros(forward, backward.params.get(use.key), use.definition.shape)
    return assemble_graph(
        forward, Outputs(gradients=gradients), fed_params=net.param_uses, fed_gradients=tops
    )


def _or_zeros(forward: ForwardPass, gradient: str | None, shape: Shape) -> Value:
    """A gradient as a tensor of its shape; zeros where none flows."""
    g = forward.g
    return Value(g.op("Expand", g.const(0), g.ints(shape)) if gradient is None else gradient, shape)


def open_tops(net: Net) -> list[str]:
    """The outputs whose gradient may come from outside: those that are no loss."""
    losses = {top for p in net.layers for top, w in zip(p.tops, p.loss_weights, strict=True) if w != 0}
    return [blob for blob in net.outputs if net.blobs[blob] not in losses]


def _fed_values(net: Net, tops: Sequence[str]) -> dict[str, str]:
    """The fed gradients by value. Those of an Accuracy and the like are left out: Caffe runs no backward pass
    for layers that have none and are only watched."""
    watched = {top for p in net.layers if not p.layer.has_gradient for top in p.tops}
    return {net.blobs[top]: gradient_name(top) for top in tops if net.blobs[top] not in watched}

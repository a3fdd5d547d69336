"""From a training net to the net that is deployed: no data layer, no label, no loss, no accuracy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.errors import NetError
from vggrepro.net.net import Net, build
from vggrepro.net.placed import NetLayer

PREDICTIONS = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
"""Loss layers that have a prediction inside, and the layer that makes it."""


def to_deploy(net: Net) -> Net:
    """The deploy form of a net, with the same parameters.

    Inputs that something other than a loss or an accuracy reads become Input layers. A
    SoftmaxWithLoss or SigmoidCrossEntropyLoss becomes the Softmax or Sigmoid inside it, with the top
    ``prob`` (with the loss layer's name behind it where a net has several); other losses and
    Accuracy go. Raises NetError if nothing remains.
    """
    losses = [p for p in net.layers if p.layer.loss or p.layer.type == "Accuracy"]
    kept = [p for p in net.layers if p not in losses]
    read = {bottom for p in kept for bottom in p.bottoms} | {
        p.bottoms[0] for p in losses if p.layer.type in PREDICTIONS
    }
    message = NetParameter(name=net.message.name)
    for placed in kept:
        if placed.layer.source:
            message.layer.extend(_input(top, net.shapes[top]) for top in placed.tops if top in read)
        elif placed.layer.type != "Silence":
            message.layer.add().CopyFrom(placed.message)
    message.layer.extend(_predictions([p for p in losses if p.layer.type in PREDICTIONS]))
    if not any(layer.type != "Input" for layer in message.layer):
        raise NetError(f"net {net.name!r}: nothing remains without data, loss and accuracy layers")
    deployed = build(message, net.phase)
    return _with_old(deployed, net)


def _with_old(deployed: Net, net: Net) -> Net:
    keys = {use.owner for use in deployed.param_uses}
    filled = deployed.with_params({key: net.params[key] for key in keys})
    return replace(filled, sources=net.sources, loaded=net.loaded & keys)


def _input(name: str, shape: tuple[int, ...]) -> Any:
    layer = LayerParameter(name=name, type="Input", top=[name])
    layer.input_param.shape.add().dim.extend(shape)
    return layer


def _predictions(losses: list[NetLayer]) -> list[Any]:
    """One prediction for each blob that a loss looks at, however many losses look."""
    layers: dict[tuple[str, str], Any] = {}
    for placed in losses:
        kind = PREDICTIONS[placed.layer.type]
        if (kind, placed.bottoms[0]) in layers:
            continue
        name = "prob" if len({p.bottoms[0] for p in losses}) == 1 else f"prob_{placed.name}"
        layer = LayerParameter(name=name, type=kind, bottom=[placed.message.bottom[0]], top=[name])
        if kind == "Softmax":
            layer.softmax_param.CopyFrom(placed.message.softmax_param)
        layers[kind, placed.bottoms[0]] = layer
    return list(layers.values())

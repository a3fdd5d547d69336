"""From a training net to the net that is deployed: no data layer, no label, no loss, no accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vggrepro.errors import NetError
from vggrepro.layers.input import Input
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.transforms.rewrite import rewritten


def to_deploy(net: Net) -> Net:
    """The deploy form of a net, with the same parameters.

    A SoftmaxWithLoss or SigmoidCrossEntropyLoss becomes the Softmax or Sigmoid inside it, with the top
    ``prob`` (``prob_<loss layer>`` where a net has several); other losses, Accuracy and layers without
    tops (Silence, HDF5Output) go, and with them what they alone made use of, such as layers that
    work on labels. What is left of the data layers become Input layers.

    Raises NetError if nothing but inputs remains.
    """
    judges = [net_layer for net_layer in net.layers if judges_predictions(net_layer)]
    needed = _needed(net, judges)
    predictions = _predictions(net, judges, needed)
    layers: list[Any] = []
    for net_layer in net.layers:
        tops = [top for top in net_layer.tops if top in needed]
        if net_layer in judges:
            layers += [predictions[net_layer.name]] if net_layer.name in predictions else []
        elif net_layer.layer.source:
            layers += [Input.definition(top, net.shapes[top]) for top in tops]
        elif tops:
            layers.append(net_layer.message)
    if all(layer.type == Input.type for layer in layers):
        raise NetError(f"net {net.name!r}: nothing remains without data, loss and accuracy layers")
    return rewritten(net, layers)


def judges_predictions(net_layer: NetLayer) -> bool:
    """Whether a layer compares predictions with labels: a loss, or an accuracy."""
    return net_layer.layer.loss or net_layer.layer.top_k_accuracy is not None


def _needed(net: Net, judges: Sequence[NetLayer]) -> set[str]:
    """The values that the deployed net has: what is judged (and is no label), the outputs that nothing
    judges, and all that leads to them."""
    readers = [p for p in net.layers if p.tops or p.layer.silences]
    read = {bottom for net_layer in readers for bottom in net_layer.bottoms}
    needed = {bottom for net_layer in judges for bottom in _candidates(net_layer)}
    needed |= {
        t for net_layer in net.layers if net_layer not in judges for t in net_layer.tops if t not in read
    }
    needed -= {top for net_layer in net.layers if net_layer.layer.source for top in net_layer.tops}
    needed |= {p.bottoms[0] for p in judges if p.layer.prediction(p.message) is not None}
    for net_layer in reversed(net.layers):
        if net_layer in judges:
            if needed.intersection(net_layer.tops[1:]):
                needed.add(net_layer.bottoms[0])
        elif needed.intersection(net_layer.tops):
            needed.update(net_layer.bottoms)
    return needed


def _candidates(judge: NetLayer) -> Iterator[str]:
    """Those bottoms of a loss or accuracy that are not labels."""
    blind = judge.layer.blind_bottoms
    return (bottom for index, bottom in enumerate(judge.bottoms) if index not in blind)


def _predictions(net: Net, judges: Sequence[NetLayer], needed: set[str]) -> dict[str, Any]:
    """For each loss that leaves one its prediction, by the loss layer's name: one for each blob that
    losses look at, unless the net itself has it."""
    pairs = [(net_layer, net_layer.layer.prediction(net_layer.message)) for net_layer in judges]
    losses = [(net_layer, layer) for net_layer, layer in pairs if layer is not None]
    several = len({net_layer.bottoms[0] for net_layer, _ in losses}) > 1
    there = {(p.layer.type, *p.bottoms[:1]) for p in net.layers if needed.intersection(p.tops)}
    found: dict[str, Any] = {}
    for net_layer, layer in losses:
        if (layer.type, net_layer.bottoms[0]) in there and len(net_layer.tops) < 2:
            continue
        there.add((layer.type, net_layer.bottoms[0]))
        name = f"prob_{net_layer.name}" if several or "prob" in net.blobs else "prob"
        top = net_layer.tops[1] if len(net_layer.tops) > 1 else name  # a SoftmaxWithLoss may give its softmax
        layer.name = name
        layer.top.append(top)
        layer.phase = net_layer.message.phase
        found[net_layer.name] = layer
    return found

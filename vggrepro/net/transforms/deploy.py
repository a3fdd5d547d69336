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
    judges = [placed for placed in net.layers if _judges(placed)]
    needed = _needed(net, judges)
    predictions = _predictions(net, judges, needed)
    layers: list[Any] = []
    for placed in net.layers:
        tops = [top for top in placed.tops if top in needed]
        if placed in judges:
            layers += [predictions[placed.name]] if placed.name in predictions else []
        elif placed.layer.source:
            layers += [Input.definition(top, net.shapes[top]) for top in tops]
        elif tops:
            layers.append(placed.message)
    if all(layer.type == Input.type for layer in layers):
        raise NetError(f"net {net.name!r}: nothing remains without data, loss and accuracy layers")
    return rewritten(net, layers)


def _judges(net_layer: NetLayer) -> bool:
    """Whether a layer compares predictions with labels: a loss, or an accuracy."""
    return net_layer.layer.loss or net_layer.layer.top_k_accuracy is not None


def _needed(net: Net, judges: Sequence[NetLayer]) -> set[str]:
    """The values that the deployed net has: what is judged (and is no label), the outputs that nothing
    judges, and all that leads to them."""
    readers = [p for p in net.layers if p.tops or p.layer.silences]
    read = {bottom for placed in readers for bottom in placed.bottoms}
    needed = {bottom for placed in judges for bottom in _candidates(placed)}
    needed |= {t for placed in net.layers if placed not in judges for t in placed.tops if t not in read}
    needed -= {top for placed in net.layers if placed.layer.source for top in placed.tops}
    needed |= {p.bottoms[0] for p in judges if p.layer.prediction(p.message) is not None}
    for placed in reversed(net.layers):
        if placed in judges:
            if needed.intersection(placed.tops[1:]):
                needed.add(placed.bottoms[0])
        elif needed.intersection(placed.tops):
            needed.update(placed.bottoms)
    return needed


def _candidates(judge: NetLayer) -> Iterator[str]:
    """Those bottoms of a loss or accuracy that are not labels."""
    blind = judge.layer.blind_bottoms
    return (bottom for index, bottom in enumerate(judge.bottoms) if index not in blind)


def _predictions(net: Net, judges: Sequence[NetLayer], needed: set[str]) -> dict[str, Any]:
    """For each loss that leaves one its prediction, by the loss layer's name: one for each blob that
    losses look at, unless the net itself has it."""
    pairs = [(placed, placed.layer.prediction(placed.message)) for placed in judges]
    losses = [(placed, layer) for placed, layer in pairs if layer is not None]
    several = len({placed.bottoms[0] for placed, _ in losses}) > 1
    there = {(p.layer.type, *p.bottoms[:1]) for p in net.layers if needed.intersection(p.tops)}
    found: dict[str, Any] = {}
    for placed, layer in losses:
        if (layer.type, placed.bottoms[0]) in there and len(placed.tops) < 2:
            continue
        there.add((layer.type, placed.bottoms[0]))
        name = f"prob_{placed.name}" if several or "prob" in net.blobs else "prob"
        top = placed.tops[1] if len(placed.tops) > 1 else name  # a SoftmaxWithLoss may give its softmax
        layer.name = name
        layer.top.append(top)
        layer.phase = placed.message.phase
        found[placed.name] = layer
    return found

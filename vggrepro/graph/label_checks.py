"""Which inputs of a net hold labels: they are checked before a graph of the net runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Dims
from vggrepro.layers.rules.allowed_labels import AllowedLabels, require_allowed
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class LabelCheck:
    """The labels of one layer: the net's ``inputs`` that they come from, and the layers between, in order,
    which only move values (Reshape, Slice, ...)."""

    layer: NetLayer
    labels: AllowedLabels
    inputs: frozenset[str]
    between: tuple[NetLayer, ...]

    def __call__(self, feeds: Arrays) -> None:
        """Raise LabelError if the arrays that are fed to ``inputs`` hold a label that is not allowed."""
        values = {name: np.asarray(feeds[name], np.float64) for name in self.inputs}
        for layer in self.between:
            tops = layer.layer.reference([values[bottom] for bottom in layer.bottoms], (), ()).tops
            values.update(zip(layer.tops, tops, strict=True))
        check_of_layer(self.layer, self.labels, values)


def check_of_layer(layer: NetLayer, labels: AllowedLabels, values: Arrays) -> None:
    """Raise LabelError if a layer's bottom among ``values`` holds a label that is not allowed.

    DEVIATION: Caffe reads beyond the scores in memory there.
    """
    blob = layer.message.bottom[labels.bottom]
    require_allowed(labels, values[layer.bottoms[labels.bottom]], f"layer {layer.name!r}", blob)


def label_checks(net: Net, dims: Mapping[str, Dims]) -> tuple[LabelCheck, ...]:
    """A check for each layer whose labels come from inputs through layers that only move values. ``dims`` are
    the sizes of the net's values in the graph: classes whose number they leave free are not counted."""
    makers = {top: layer for layer in net.layers for top in layer.tops}
    checks = []
    for layer in net.layers:
        labels = _labels(net, layer, dims)
        between = None if labels is None else _moved(layer.bottoms[labels.bottom], makers)
        if labels is None or between is None:
            continue
        read = {layer.bottoms[labels.bottom], *(b for mover in between for b in mover.bottoms)}
        checks.append(LabelCheck(layer, labels, frozenset(read & set(net.inputs)), tuple(between)))
    return tuple(checks)


def _labels(net: Net, layer: NetLayer, dims: Mapping[str, Dims]) -> AllowedLabels | None:
    shapes = [net.shapes[bottom] for bottom in layer.bottoms]
    labels = layer.layer.allowed_labels(shapes)
    larger = [
        tuple(size + 1 if free is None else size for size, free in zip(shape, dims[bottom], strict=True))
        for shape, bottom in zip(shapes, layer.bottoms, strict=True)
    ]
    probed = layer.layer.allowed_labels(larger)
    if labels is None or probed is None or labels.classes != probed.classes:
        return None
    return labels if labels.read == probed.read else replace(labels, read=None)


def _moved(value: str, makers: Mapping[str, NetLayer]) -> Sequence[NetLayer] | None:
    """The layers, in order, that make a value of inputs by moving values alone; None if there are others."""
    maker = makers[value]
    if maker.layer.source:
        return ()
    if not maker.layer.moves_values:
        return None
    found: list[NetLayer] = []
    for bottom in maker.bottoms:
        above = _moved(bottom, makers)
        if above is None:
            return None
        found += [layer for layer in above if layer not in found]
    return [*found, maker]

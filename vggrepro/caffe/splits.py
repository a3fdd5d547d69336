"""The Split layers that Caffe inserts where several layers read one blob (its ``InsertSplits``).

A net needs them nowhere in this package, but Caffe's snapshots contain them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from vggrepro.caffe.messages import LayerParameter, NetParameter
from vggrepro.errors import NetError

_Top: TypeAlias = "tuple[int, int]"
"""A blob's value: the layer that makes it, and which of its tops it is."""


@dataclass
class _Uses:
    readers: Counter[_Top] = field(default_factory=Counter)
    """How many bottoms read each top; a loss weight counts as one more."""
    sources: list[list[_Top]] = field(default_factory=list)
    """For every layer, the top that each of its bottoms reads."""
    weights: dict[_Top, float] = field(default_factory=dict)
    """The loss weights that are not zero."""


def insert_splits(net: NetParameter) -> NetParameter:
    """The net with a Split layer behind every top that is used more than once.

    ``net`` is in the newest format, and filtered. Raises NetError for an unknown bottom.
    """
    uses = _count_uses(net)
    given: Counter[_Top] = Counter(uses.weights.keys())  # a loss takes the first copy
    result = NetParameter()
    result.CopyFrom(net)
    result.ClearField("layer")
    for index, old in enumerate(net.layer):
        layer = result.layer.add()
        layer.CopyFrom(old)
        for place, top in enumerate(uses.sources[index]):
            if uses.readers[top] > 1:
                layer.bottom[place] = f"{_split_name(net, top)}_{given[top]}"
                given[top] += 1
        for place in range(len(old.top)):
            top = (index, place)
            if uses.readers[top] > 1:
                result.layer.append(_split(net, top, uses.readers[top], uses.weights.get(top, 0)))
                if top in uses.weights:
                    layer.ClearField("loss_weight")
    return result


def _count_uses(net: NetParameter) -> _Uses:
    uses = _Uses()
    latest: dict[str, _Top] = {}
    for index, layer in enumerate(net.layer):
        for place, blob in enumerate(layer.bottom):
            if blob not in latest:
                raise NetError(f"Unknown bottom blob {blob!r} (layer {layer.name!r}, bottom index {place})")
        uses.sources.append([latest[blob] for blob in layer.bottom])
        uses.readers.update(uses.sources[-1])
        latest.update((blob, (index, place)) for place, blob in enumerate(layer.top))
        for blob, weight in zip(layer.top, layer.loss_weight, strict=False):
            if weight:
                uses.weights[latest[blob]] = weight
                uses.readers[latest[blob]] += 1
    return uses


def _split(net: NetParameter, top: _Top, copies: int, loss_weight: float) -> LayerParameter:
    name = _split_name(net, top)
    layer = LayerParameter(name=name, type="Split", bottom=[net.layer[top[0]].top[top[1]]])
    layer.top.extend(f"{name}_{copy}" for copy in range(copies))
    if loss_weight:
        layer.loss_weight.extend([loss_weight] + [0] * (copies - 1))
    return layer


def _split_name(net: NetParameter, top: _Top) -> str:
    layer = net.layer[top[0]]
    return f"{layer.top[top[1]]}_{layer.name}_{top[1]}_split"

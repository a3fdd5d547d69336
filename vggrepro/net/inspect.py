"""Figures of a net: parameters, multiply-accumulates, memory, receptive fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.layers.base import Reach
from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer

Pair = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """One layer: its first top's shape, parameters, multiply-accumulates of one forward pass, bytes of
    its tops in float32 (none in place), and the receptive field and stride (height, width) of
    one element of the top in pixels of the input; None where that is not a window of an image."""

    name: str
    type: str
    shape: Shape
    parameters: int
    macs: int
    bytes: int
    field: Pair | None
    stride: Pair | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Totals:
    """Sums over the layers; a shared parameter counts once."""

    parameters: int
    macs: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Field:
    """What an element of a value sees: ``size`` and ``stride`` in pixels. ``map`` is the value's shape
    (N, C, H, W); for a vector (N, C * H * W) that of the map that was flattened."""

    size: Pair
    stride: Pair
    map: Shape


def inspect(net: Net) -> tuple[list[Row], Totals]:
    """A row for each layer, in order, and the totals."""
    fields: dict[str, _Field] = {}
    rows = []
    for net_layer in net.layers:
        for top in net_layer.tops:
            field = _field(net_layer, net.shapes[top], fields)
            if field is not None:
                fields[top] = field
        rows.append(_row(net_layer, net, fields.get(net_layer.tops[0]) if net_layer.tops else None))
    return rows, Totals(
        parameters=sum(row.parameters for row in rows),
        macs=sum(row.macs for row in rows),
        bytes=sum(row.bytes for row in rows),
    )


def _row(net_layer: NetLayer, net: Net, field: _Field | None) -> Row:
    new = [top for top, blob in zip(net_layer.tops, net_layer.message.top, strict=False) if top == blob]
    return Row(
        name=net_layer.name,
        type=net_layer.message.type,
        shape=net.shapes[net_layer.tops[0]] if net_layer.tops else (),
        parameters=sum(math.prod(u.definition.shape) for u in net_layer.params if u.owner == u.key),
        macs=net_layer.layer.macs([net.shapes[b] for b in net_layer.bottoms]),
        bytes=4 * sum(math.prod(net.shapes[top]) for top in new),
        field=field.size if field else None,
        stride=field.stride if field else None,
    )


def _field(net_layer: NetLayer, top: Shape, fields: Mapping[str, _Field]) -> _Field | None:
    """The largest field of the bottoms, widened by the layer's own window; None if a bottom has none."""
    if net_layer.layer.source:
        return _Field((1, 1), (1, 1), top) if len(top) == 4 else None
    below = [fields[bottom] for bottom in net_layer.bottoms if bottom in fields]
    if not below or len(below) < len(net_layer.bottoms):
        return None
    bottom = below[0].map
    window = net_layer.layer.reach(bottom)
    shape = _map(top, bottom, window) if window is not None else None
    if window is None or shape is None:
        return None
    stride = _pair(lambda axis: max(f.stride[axis] for f in below))
    size = _pair(lambda axis: max(f.size[axis] for f in below) + (window.extent[axis] - 1) * stride[axis])
    return _Field(size, _pair(lambda axis: stride[axis] * window.stride[axis]), shape)


def _map(top: Shape, bottom: Shape, window: Reach) -> Shape | None:
    """The top as a map: itself, what was flattened, or a single place where a window covers all."""
    if len(top) == 4:
        return top
    if top and window.extent == bottom[2:]:
        return (top[0], math.prod(top[1:]), 1, 1)
    return bottom if math.prod(top) == math.prod(bottom) else None


def _pair(of: Callable[[int], int]) -> Pair:
    return of(0), of(1)

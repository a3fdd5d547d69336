"""The parameters of a net: which layer owns each, and which others use it by its name."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vggrepro.caffe.messages import ParamSpec
from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError, naming
from vggrepro.layers.base import ParamDef
from vggrepro.layers.rules.axes import shape_string
from vggrepro.net.net_layer import NetLayer, ParamUse


@dataclass
class _Shared:
    """One parameter with a name: its owner, and what each layer that uses it says of it."""

    owner: ParamUse
    specs: list[tuple[str, Any]] = field(default_factory=list)


def attach_params(layers: Sequence[NetLayer], shapes: Mapping[str, Shape]) -> tuple[NetLayer, ...]:
    """The layers with their parameters (Caffe's ``Net::AppendParam``).

    Raises NetError for too many ``param`` entries or multipliers that differ, ShapeError for a shared
    parameter that does not fit.
    """
    shared: dict[str, _Shared] = {}
    finished = []
    for net_layer in layers:
        with naming(net_layer.place):
            definitions = net_layer.layer.param_defs([shapes[b] for b in net_layer.bottoms])
        if len(net_layer.message.param) > len(definitions) and net_layer.layer.tells_params:
            numbers = f"({len(net_layer.message.param)} vs. {len(definitions)})"
            raise NetError(f"Too many params specified for layer {net_layer.name} {numbers}")
        uses = [
            _use_param(net_layer, index, definition, shared, shapes)
            for index, definition in enumerate(definitions)
        ]
        finished.append(replace(net_layer, params=tuple(uses)))
    multipliers = {
        s.owner.key: (_agreed(name, s, "lr_mult"), _agreed(name, s, "decay_mult"))
        for name, s in shared.items()
    }
    return tuple(replace(p, params=tuple(_multiplied(u, multipliers) for u in p.params)) for p in finished)


def param_key(layer: str, index: int, blobs: Container[str]) -> str:
    """What a layer's parameter is called in a net with these blobs."""
    key = f"{layer}:{index}"
    while key in blobs:  # in a graph both are tensors, and TensorFlow's converters write such tops
        key += "'"
    return key


def _use_param(
    net_layer: NetLayer,
    index: int,
    definition: ParamDef,
    shared: dict[str, _Shared],
    blobs: Container[str],
) -> ParamUse:
    key = param_key(net_layer.name, index, blobs)
    spec = net_layer.message.param[index] if index < len(net_layer.message.param) else ParamSpec()
    # Caffe's statistics are parameters with a learning rate of zero that only forward moves.
    rate = 0.0 if definition.statistic else spec.lr_mult
    use = ParamUse(key, key, definition, rate, spec.decay_mult, needs_gradient=rate != 0)
    if not spec.name:
        return use
    known = shared.setdefault(spec.name, _Shared(use))
    known.specs.append((net_layer.name, spec))
    _check_shared(net_layer, spec, definition, known.owner)
    return replace(use, owner=known.owner.key)


def _check_shared(net_layer: NetLayer, spec: Any, definition: ParamDef, owner: ParamUse) -> None:
    mine, theirs = definition.shape, owner.definition.shape
    if spec.share_mode == type(spec).PERMISSIVE:
        fits, what, expects = math.prod(mine) == math.prod(theirs), "count", "shape is"
    else:
        fits, what, expects = mine == theirs, "shape", "expects shape"
    if not fits:
        raise ShapeError(
            f"Cannot share param '{spec.name}' owned by layer '{owner.key.rsplit(':', 1)[0]}' with layer"
            f" '{net_layer.name}'; {what} mismatch.  Owner layer param shape is {shape_string(theirs)};"
            f" sharing layer {expects} {shape_string(mine)}"
        )


def _agreed(name: str, shared: _Shared, multiplier: str) -> float:
    """A multiplier of a shared parameter may be given by any of its layers, but not differently by two."""
    given = [(layer, getattr(spec, multiplier)) for layer, spec in shared.specs if spec.HasField(multiplier)]
    for layer, value in given:
        if value != given[0][1]:
            numbers = f"({value:g} vs. {given[0][1]:g})"
            error = NetError(f"Shared param '{name}' has mismatched {multiplier}. {numbers}")
            raise error.within(f"layer {layer!r}")
    return float(given[0][1]) if given else float(getattr(shared.owner, multiplier))


def _multiplied(use: ParamUse, multipliers: Mapping[str, tuple[float, float]]) -> ParamUse:
    lr_mult, decay_mult = multipliers.get(use.owner, (use.lr_mult, use.decay_mult))
    return replace(use, lr_mult=lr_mult, decay_mult=decay_mult)

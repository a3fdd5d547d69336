"""The parameters of a net: which layer owns each, and which others use it by its name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import ParamDef
from vggrepro.net.placed import NetLayer, ParamUse, naming


def attach_params(placed: Sequence[NetLayer], shapes: Mapping[str, Shape]) -> tuple[NetLayer, ...]:
    owners: dict[str, ParamUse] = {}
    finished = []
    for p in placed:
        with naming(p.name):
            definitions = p.layer.param_defs([shapes[b] for b in p.bottoms])
        if len(p.message.param) > len(definitions):
            raise NetError(
                f"layer {p.name!r}: Too many params specified for layer: {len(p.message.param)} specs,"
                f" {len(definitions)} parameters"
            )
        uses = tuple(_use_param(p, index, definition, owners) for index, definition in enumerate(definitions))
        finished.append(replace(p, params=uses))
    return _owners_multipliers(finished, owners)


def _use_param(p: NetLayer, index: int, definition: ParamDef, owners: dict[str, ParamUse]) -> ParamUse:
    key = f"{p.name}:{index}"
    if index >= len(p.message.param):
        # Caffe's statistics are parameters with a learning rate of zero that only forward moves.
        rate = 0.0 if definition.statistic else 1.0
        return ParamUse(key, key, definition, rate, rate)
    spec = p.message.param[index]
    use = ParamUse(key, key, definition, spec.lr_mult, spec.decay_mult)
    if not spec.name:
        return use
    if spec.name not in owners:
        owners[spec.name] = use
        return use
    owner = owners[spec.name]
    _check_shared(p, spec, definition, owner)
    owners[spec.name] = replace(
        owner,
        lr_mult=_agree(spec, owner, "lr_mult", p.name),
        decay_mult=_agree(spec, owner, "decay_mult", p.name),
    )
    return replace(use, owner=owner.key)


def _check_shared(p: NetLayer, spec: Any, definition: ParamDef, owner: ParamUse) -> None:
    permissive = spec.share_mode == type(spec).PERMISSIVE
    mine, theirs = definition.shape, owner.definition.shape
    if mine != theirs and not (permissive and math.prod(mine) == math.prod(theirs)):
        raise ShapeError(
            f"Cannot share param '{spec.name}' owned by layer '{owner.key.rsplit(':', 1)[0]}' with layer"
            f" '{p.name}'; shape mismatch.  Owner layer param shape is {_shape_string(theirs)};"
            f" sharing layer expects shape {_shape_string(mine)}"
        )


def _shape_string(shape: Shape) -> str:
    """A shape as Caffe prints it: its sizes, and their product in parentheses."""
    return " ".join(map(str, (*shape, f"({math.prod(shape)})")))


def _agree(spec: Any, owner: ParamUse, name: str, layer: str) -> float:
    """A multiplier of a shared parameter may be given anywhere, but must not be given twice differently."""
    mine, theirs = getattr(spec, name), getattr(owner, name)
    if not spec.HasField(name) or mine == theirs:
        return float(theirs)
    if theirs != 1.0:
        raise NetError(
            f"layer {layer!r}: Shared param '{spec.name}' has mismatched {name}: {mine} vs. {theirs}"
        )
    return float(mine)


def _owners_multipliers(placed: Sequence[NetLayer], owners: Mapping[str, ParamUse]) -> tuple[NetLayer, ...]:
    final = {use.key: use for use in owners.values()}
    return tuple(
        replace(
            p,
            params=tuple(
                replace(u, lr_mult=final[u.owner].lr_mult, decay_mult=final[u.owner].decay_mult)
                if u.owner in final
                else u
                for u in p.params
            ),
        )
        for p in placed
    )

"""``Net``: a Caffe net with its layers parsed, its names resolved, its shapes known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import PHASES
from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError, UnsupportedError, VggReproError
from vggrepro.layers.base import Layer, ParamDef, known_types, layer_class
from vggrepro.net.wiring import wire

Params = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class ParamUse:
    """One parameter of one layer. ``owner`` is the key of the layer that holds a shared one."""

    key: str
    owner: str
    definition: ParamDef
    lr_mult: float
    decay_mult: float


@dataclass(frozen=True)
class NetLayer:
    """A layer in its place: the values it reads and writes, its parameters, its loss weights."""

    name: str
    layer: Layer
    message: Any
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: tuple[ParamUse, ...]
    loss_weights: tuple[float, ...]

    @property
    def propagate_down(self) -> tuple[bool, ...]:
        return tuple(self.message.propagate_down)


@dataclass(frozen=True)
class Net:
    """A net in one phase.

    ``inputs`` and ``outputs`` map blob names to shapes, ``params`` maps ``"layer:index"`` to float32
    arrays (a shared one under each of its names), ``shapes`` maps every value (see
    :mod:`vggrepro.net.wiring`) to its shape, ``blobs`` maps a blob to its last value.
    """

    name: str
    phase: str
    layers: tuple[NetLayer, ...]
    shapes: Mapping[str, Shape]
    blobs: Mapping[str, str]
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    params: Params = field(repr=False)
    message: Any = field(repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)
    """The files that the net came from: ``prototxt`` and ``weights``."""
    loaded: frozenset[str] = frozenset()
    """Owner's keys of the parameters that a file gave; the others have their fillers' values."""

    @property
    def param_uses(self) -> tuple[ParamUse, ...]:
        return tuple(use for layer in self.layers for use in layer.params)

    def readers(self, value: str) -> list[NetLayer]:
        """The layers that read a value, in order."""
        return [placed for placed in self.layers if value in placed.bottoms]

    def with_params(self, params: Params) -> Net:
        """The same net with other parameter values; a shared one is given under its owner's key."""
        return replace(self, params=_spread(self.layers, {**self.params, **params}))

    def reshape(self, inputs: Mapping[str, Shape]) -> Net:
        """The same net at other input shapes (Caffe's ``Net::Reshape``). Parameters must still fit:
        raises ShapeError where they do not."""
        unknown = sorted(set(inputs) - set(self.inputs))
        if unknown:
            raise NetError(f"net {self.name!r}: no input {unknown[0]!r}; its inputs are {list(self.inputs)}")
        shapes = infer_shapes(self.layers, {**self.inputs, **inputs})
        for layer in self.layers:
            definitions = layer.layer.param_defs([shapes[b] for b in layer.bottoms])
            for use, definition in zip(layer.params, definitions, strict=True):
                if use.definition.shape != definition.shape:
                    raise ShapeError(
                        f"layer {layer.name!r}: parameter {use.key} has shape {use.definition.shape},"
                        f" these inputs need {definition.shape}"
                    )
        return replace(
            self,
            shapes=shapes,
            inputs={name: shapes[name] for name in self.inputs},
            outputs={name: shapes[self.blobs[name]] for name in self.outputs},
        )


def build(message: Any, phase: str, input_shapes: Mapping[str, Shape] | None = None) -> Net:
    """A Net from an upgraded and filtered ``NetParameter``; its parameters are still empty.

    Raises UnsupportedError once, naming every layer and parameter that is not implemented, and
    NetError or ShapeError where Caffe would stop.
    """
    layers = _parse_layers(message, phase)
    wiring = wire(message.layer, layers)
    placed = [
        NetLayer(m.name, layer, m, wires.bottoms, wires.tops, (), _loss_weights(m, layer, len(wires.tops)))
        for m, layer, wires in zip(message.layer, layers, wiring.layers, strict=True)
    ]
    overrides = dict(input_shapes or {})
    shapes = infer_shapes(placed, overrides)
    check_sizes(placed, shapes)
    finished = _attach_params(placed, shapes)
    inputs = {top: shapes[top] for p in finished if p.layer.source for top in p.tops}
    if set(overrides) - set(inputs):
        raise NetError(f"no input {sorted(set(overrides) - set(inputs))[0]!r}; the inputs are {list(inputs)}")
    return Net(
        name=message.name,
        phase=phase,
        layers=finished,
        shapes=shapes,
        blobs=wiring.blobs,
        inputs=inputs,
        outputs={blob: shapes[wiring.blobs[blob]] for blob in wiring.outputs},
        params={},
        message=message,
    )


def infer_shapes(layers: Sequence[NetLayer], inputs: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of every value, by each layer's own rule; ``inputs`` overrides those of sources."""
    shapes: dict[str, Shape] = {}
    for placed in layers:
        with _naming(placed.name):
            shapes.update(zip(placed.tops, _top_shapes(placed, shapes, inputs), strict=True))
    return shapes


def check_sizes(layers: Sequence[NetLayer], shapes: Mapping[str, Shape]) -> None:
    """Caffe's limit on blobs: at most 2^31 - 1 elements. Raises ShapeError beyond it."""
    for placed in layers:
        for top in placed.tops:
            if math.prod(shapes[top]) > 2**31 - 1 or min(shapes[top], default=0) < 0:
                raise ShapeError(
                    f"layer {placed.name!r}: blob size exceeds INT_MAX: top {top!r} would have shape {shapes[top]}"
                )


def _top_shapes(
    placed: NetLayer, shapes: Mapping[str, Shape], inputs: Mapping[str, Shape]
) -> Sequence[Shape]:
    if placed.layer.source and all(top in inputs for top in placed.tops):
        return [tuple(inputs[top]) for top in placed.tops]
    known = placed.layer.out_shapes([shapes[b] for b in placed.bottoms])
    if placed.layer.source:
        known = tuple(tuple(inputs.get(top, s)) for top, s in zip(placed.tops, known, strict=False))
    if len(known) < len(placed.tops):
        raise ShapeError(f"no shape for input {placed.tops[len(known)]!r}: give it as an input shape")
    return known


class _naming:
    """Puts the layer's name in front of an error that does not name it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, VggReproError) and repr(self.name) not in str(error):
            raise type(error)(f"layer {self.name!r}: {error}") from error


def _parse_layers(message: Any, phase: str) -> list[Layer]:
    layers, unsupported = [], []
    for m in message.layer:
        try:
            with _naming(m.name):
                layers.append(layer_class(m.type).from_param(m, PHASES[phase]))
        except UnsupportedError as error:
            unsupported.append(str(error))
    if unsupported:
        known = (
            f" (known types: {', '.join(known_types())})" if "Unknown layer type" in str(unsupported) else ""
        )
        raise UnsupportedError("; ".join(unsupported) + known)
    return layers


def _loss_weights(message: Any, layer: Layer, tops: int) -> tuple[float, ...]:
    given = tuple(message.loss_weight)
    if given and len(given) != len(message.top):
        raise NetError(
            f"layer {message.name!r}: loss_weight must be unspecified or specified once per top blob."
            f" ({len(message.top)} tops vs. {len(given)} weights)"
        )
    if given:
        return given
    return tuple(1.0 if layer.loss and index == 0 else 0.0 for index in range(tops))


def _attach_params(placed: Sequence[NetLayer], shapes: Mapping[str, Shape]) -> tuple[NetLayer, ...]:
    owners: dict[str, ParamUse] = {}
    finished = []
    for p in placed:
        with _naming(p.name):
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


def _spread(layers: Sequence[NetLayer], params: Params) -> Params:
    """Every key of a shared parameter with its owner's values, in the order of the net."""
    uses = [use for placed in layers for use in placed.params]
    return {use.key: params[use.owner].reshape(use.definition.shape) for use in uses}

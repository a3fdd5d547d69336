"""``Net``: a Caffe net with its layers parsed, its names resolved, its shapes known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import PHASES, LayerParameter, NetParameter
from vggrepro.emit import Shape
from vggrepro.errors import (
    NetError,
    ShapeError,
    UnknownLayerError,
    UnsupportedError,
    did_you_mean,
    naming,
    some_of,
    within_length,
)
from vggrepro.layers.base import AnyLayer
from vggrepro.layers.registry import known_types
from vggrepro.net.custom import HOW_TO_ALLOW
from vggrepro.net.kinds import AMBIGUOUS, check_own_parameters, class_of
from vggrepro.net.net_layer import NetLayer, ParamUse, place_of
from vggrepro.net.shapes import check_sizes, infer_shapes
from vggrepro.net.sharing import attach_params
from vggrepro.net.wiring import check_counts, wire

Params = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Net:
    """A net in one phase.

    ``inputs`` and ``outputs`` map blob names to shapes, ``params`` maps ``"layer:index"``, with an
    apostrophe behind it where a blob is called that, to float32 arrays (a shared one under each of its
    names), ``shapes`` maps every value (see
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
    message: NetParameter = field(repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)
    """The files that the net came from: ``prototxt`` and ``weights``."""
    loaded: frozenset[str] = frozenset()
    """Owner's keys of the parameters that a file gave; the others have their fillers' values."""
    custom: Mapping[str, AnyLayer] = field(default_factory=dict)
    """Layers that no type of the catalogue made, by name."""

    @property
    def param_uses(self) -> tuple[ParamUse, ...]:
        return tuple(use for layer in self.layers for use in layer.params)

    @property
    def returned(self) -> Mapping[str, Shape]:
        """What a graph of the net returns: its outputs, or, where every blob is read, those that only layers
        without tops read (the published colorization net ends in Silence, DeepLab's in MatWrite)."""
        if self.outputs:
            return self.outputs
        read = {blob: self.readers(value) for blob, value in self.blobs.items() if blob not in self.inputs}
        return {
            blob: self.shapes[self.blobs[blob]]
            for blob, readers in read.items()
            if readers and not any(reader.tops for reader in readers)
        }

    def readers(self, value: str) -> list[NetLayer]:
        """The layers that read a value, in order."""
        return [net_layer for net_layer in self.layers if value in net_layer.bottoms]

    def with_params(self, params: Params) -> Net:
        """The same net with other values of some parameters, by ``"layer:index"``. A shared one changes under
        all of its names; of values under several of them its owner's count.
        float32 arrays are not copied: who changes them changes the net.

        Raises NetError for a name that is none, ShapeError for values of another shape.
        """
        return replace(self, params=_spread(self.layers, {**self.params, **_by_owner(self, params)}))

    def reshape(self, inputs: Mapping[str, Shape]) -> Net:
        """The same net at other input shapes (Caffe's ``Net::Reshape``). Parameters must still fit:
        raises ShapeError where they do not."""
        unknown = sorted(set(inputs) - set(self.inputs))
        if unknown:
            raise NetError(
                f"net {self.name!r}: no input {unknown[0]!r}; its inputs are {list(self.inputs)}"
                + did_you_mean(unknown[0], self.inputs)
            )
        shapes = infer_shapes(self.layers, {**self.inputs, **inputs})
        for layer in self.layers:
            definitions = layer.layer.param_defs([shapes[b] for b in layer.bottoms])
            for use, definition in zip(layer.params, definitions, strict=True):
                if use.definition.shape != definition.shape:
                    error = ShapeError(
                        f"parameter {use.key} has shape {use.definition.shape}, these inputs need"
                        f" {definition.shape}"
                    )
                    raise error.within(layer.place)
        return replace(
            self,
            shapes=shapes,
            inputs={name: shapes[name] for name in self.inputs},
            outputs={name: shapes[self.blobs[name]] for name in self.outputs},
        )


def build(
    message: NetParameter,
    phase: str,
    input_shapes: Mapping[str, Shape] | None = None,
    custom: Mapping[str, AnyLayer] | None = None,
) -> Net:
    """A Net from an upgraded and filtered ``NetParameter``; its parameters are still empty. ``custom``
    holds layers that take the place of those that the catalogue would make, by name.

    Raises UnsupportedError once, naming every layer and parameter that is not implemented, and
    NetError or ShapeError where Caffe would stop.
    """
    _check_custom_names(message, custom or {})
    layers = _parse_layers(message, phase, custom or {})
    wiring = wire(message.layer, layers)
    net_layers = [
        NetLayer(m.name, layer, m, wires.bottoms, wires.tops, (), _loss_weights(m, layer, len(wires.tops)))
        for m, layer, wires in zip(message.layer, layers, wiring.layers, strict=True)
    ]
    overrides = dict(input_shapes or {})
    shapes = infer_shapes(net_layers, overrides)
    finished = attach_params(net_layers, shapes)
    _check_names(finished, shapes)
    check_sizes(finished, shapes)
    inputs = {top: shapes[top] for p in finished if p.layer.source for top in p.tops}
    unknown = sorted(set(overrides) - set(inputs))
    if unknown:
        close = did_you_mean(unknown[0], inputs)
        raise NetError(f"no input {unknown[0]!r}; the inputs are {list(inputs)}{close}")
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
        custom=custom or {},
    )


def _check_custom_names(message: NetParameter, custom: Mapping[str, AnyLayer]) -> None:
    """Raise NetError where two layers bear the name of one that ``custom`` gives: it would be both.

    DEVIATION: Caffe builds such a net.
    """
    first: dict[str, tuple[int, LayerParameter]] = {}
    for index, layer in enumerate(message.layer):
        other = first.setdefault(layer.name, (index, layer))
        if other[0] != index and layer.name in custom:
            raise _same_name(other, (index, layer), "what computes this layer is")


def _check_names(layers: Sequence[NetLayer], shapes: Mapping[str, Shape]) -> None:
    """Raise NetError for two layers of one name of which one has parameters or a state: both are found by the
    name. DEVIATION: Caffe builds such a net, and copies all weights of that name to its first layer."""
    first: dict[str, int] = {}
    for index, layer in enumerate(layers):
        other = layers[first.setdefault(layer.name, index)]
        if other is not layer and any(_is_found_by_name(one, shapes) for one in (other, layer)):
            places = (first[layer.name], other.message), (index, layer.message)
            raise _same_name(*places, "weights are")


def _same_name(one: tuple[int, LayerParameter], other: tuple[int, LayerParameter], what: str) -> NetError:
    """The error for two layers, each with its index in the net, that would get what is one layer's alone."""
    places = " and ".join(f"{index + 1} ({layer.type})" for index, layer in (one, other))
    return NetError(
        f"layers {places} are both called {other[1].name!r}: {what} found by a layer's name, so each must"
        " have its own"
    )


def _is_found_by_name(layer: NetLayer, shapes: Mapping[str, Shape]) -> bool:
    return bool(layer.params or layer.layer.state_defs([shapes[bottom] for bottom in layer.bottoms]))


def _parse_layers(message: NetParameter, phase: str, custom: Mapping[str, AnyLayer]) -> list[AnyLayer]:
    """What is not implemented comes before what is wrong: in a fork's net the latter may well be right."""
    layers: list[AnyLayer] = []
    unsupported: list[tuple[LayerParameter, UnsupportedError]] = []
    wrong: list[NetError] = []
    for m in message.layer:
        try:
            with naming(place_of(m)):
                layers.append(_parse_layer(m, phase, custom))
        except UnsupportedError as error:
            unsupported.append((m, error))
        except NetError as error:
            wrong.append(error)
    if unsupported:
        raise _all_of(unsupported)
    if wrong:
        raise wrong[0]
    return layers


def _parse_layer(definition: LayerParameter, phase: str, custom: Mapping[str, AnyLayer]) -> AnyLayer:
    if definition.name in custom:
        check_counts(definition, type(custom[definition.name]))
        return custom[definition.name]
    kind = class_of(definition)
    check_counts(definition, kind)
    check_own_parameters(definition)
    return kind.from_param(definition, PHASES[phase])


def _all_of(errors: Sequence[tuple[LayerParameter, UnsupportedError]]) -> UnsupportedError:
    """One error for all that is not supported in a net: for each reason the first layers and their number."""
    places: dict[str, list[str]] = {}
    for definition, error in errors:
        reason = str(error).removeprefix(f"{place_of(definition)}: ")
        places.setdefault(reason, []).append(repr(definition.name))
    text = within_length(
        f"layer{'s' if len(names) > 1 else ''} {some_of(names)}: {reason}" for reason, names in places.items()
    )
    types = tuple(name for _, e in errors if isinstance(e, UnknownLayerError) for name in e.types)
    if not types:
        return UnsupportedError(text)
    alone = len(set(types)) == 1 and types[0] not in AMBIGUOUS
    close = did_you_mean(types[0], known_types()) if alone else ""
    return UnknownLayerError(f"{text}{close}; {HOW_TO_ALLOW}", types)


def _loss_weights(message: LayerParameter, layer: AnyLayer, tops: int) -> tuple[float, ...]:
    given = tuple(message.loss_weight)
    if given and len(given) != tops:
        error = NetError(
            "loss_weight must be unspecified or specified once per top blob."
            f" ({tops} tops vs. {len(given)} weights)"
        )
        raise error.within(place_of(message))
    if given:
        return given
    return tuple(1.0 if layer.loss and index == 0 else 0.0 for index in range(tops))


def _by_owner(net: Net, params: Mapping[str, npt.ArrayLike]) -> Params:
    """Values by their owners' keys, checked, as float32."""
    uses = {use.key: use for use in net.param_uses}
    given: dict[str, npt.NDArray[np.float32]] = {}
    for key, array in params.items():
        if key not in uses:
            raise NetError(f"net {net.name!r}: no parameter {key!r}; it has {', '.join(uses) or 'none'}")
        values, owner, shape = np.asarray(array, np.float32), uses[key].owner, uses[key].definition.shape
        if values.shape != shape:
            raise ShapeError(f"net {net.name!r}: parameter {key!r}: shape {values.shape}, expected {shape}")
        if key == owner or owner not in params:
            given[owner] = values.reshape(uses[owner].definition.shape)
    return given


def _spread(layers: Sequence[NetLayer], params: Params) -> Params:
    """Every key of a shared parameter with its owner's values, as far as there are any, in the order
    of the net."""
    uses = [use for net_layer in layers for use in net_layer.params if use.owner in params]
    return {use.key: params[use.owner].reshape(use.definition.shape) for use in uses}

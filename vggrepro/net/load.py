"""Reading a net and its weights from Caffe's files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import PHASES, LayerParameter, NetParameter
from vggrepro.caffe.proto_file import read_schema
from vggrepro.caffe.state import filter_net
from vggrepro.caffe.text import read_net
from vggrepro.caffe.unknown_layers import PartlyKnownNet, read_partly_known_net, written_layers
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.caffe.weights import SavedLayer, read_weights
from vggrepro.emit import Shape
from vggrepro.errors import NetError, ParseError, ShapeError, UnknownFieldError, WeightsError, naming, some_of
from vggrepro.layers.base import AnyLayer, find_layer_class
from vggrepro.layers.rules.axes import shape_string
from vggrepro.net.custom import HOW_TO_ALLOW, advising_on_shapes, custom_layers, warn_of_custom_nodes
from vggrepro.net.fillers import fill as fill_values
from vggrepro.net.forks import with_defaults
from vggrepro.net.kinds import is_fork_data, is_known
from vggrepro.net.net import Net, build
from vggrepro.net.own_schema import is_from_outside, own_schema_layers
from vggrepro.system.caller_warning import warn_caller

PathLike = str | os.PathLike[str]


def load_net(
    prototxt: PathLike,
    weights: PathLike | None = None,
    *,
    phase: str = "TEST",
    stages: Sequence[str] = (),
    level: int = 0,
    input_shapes: Mapping[str, Shape] | None = None,
    seed: int = 0,
    fill: bool = True,
    allow_unknown: bool = False,
    allow_custom: bool = False,
    custom_shapes: Mapping[str, Shape] | None = None,
    fork: str | None = None,
    proto: PathLike | None = None,
) -> Net:
    """Read a net, of any of Caffe's formats, in one phase.

    Weights (.caffemodel or .h5) are copied by layer name as Caffe does; a layer that the file lacks
    keeps its filler's values, drawn from ``seed``; with ``fill=False`` it has none, and ``params`` lacks its
    keys. ``input_shapes`` gives or replaces the shapes of inputs. ``allow_unknown`` leaves out fields that
    BVLC Caffe does not know and on which no number depends, with one warning. ``allow_custom`` makes Python
    layers and layers of unknown types nodes of a custom operator domain
    (:class:`vggrepro.net.custom.Custom`), with a warning for each; ``custom_shapes`` gives the shapes of
    their tops, where they are not the first bottom's (a 0 copies the first bottom's size). ``fork`` names
    the fork whose layers are meant where several have one name. ``proto`` is a fork's ``.proto`` file, by
    which layers from outside get their parameters (docs/own-layers.md).

    Raises ParseError, UpgradeError, UnsupportedError, NetError, ShapeError or WeightsError."""
    _check_arguments(phase, allow_custom, custom_shapes)
    source = os.fspath(prototxt)
    written = read_definition_file(source, allow_unknown, allow_custom, own_schema=proto is not None)
    upgraded = _upgraded(written.message, source, input_shapes)
    saved = {os.fspath(weights): read_weights(weights)} if weights is not None else {}
    with naming(source):
        message = with_defaults(filter_net(upgraded, phase=phase, level=level, stages=stages), fork)
        blobs = [layer for layers in saved.values() for layer in layers]
        custom = custom_layers(message, written, custom_shapes or {}, blobs) if allow_custom else {}
        if proto is not None:
            custom.update(own_schema_layers(message, written, read_schema(proto), phase))
        _resolve_files(message, Path(source).parent)
        with advising_on_shapes(custom, message):
            net = build(message, phase, input_shapes, custom)
    warn_of_custom_nodes(net.layers, net.shapes)
    return _with_params(net, source, saved, seed if fill else None)


def _with_params(net: Net, source: str, saved: Mapping[str, Sequence[SavedLayer]], seed: int | None) -> Net:
    """The net with what the files have of its parameters; of the others, unless ``seed`` is None, with their
    fillers' values."""
    loaded = _loaded(net, saved)
    _tell_ignored(net, saved, loaded)
    with naming(source):
        others = initial_params(net, seed, skip=loaded) if seed is not None else {}
    files = dict(zip(("prototxt", "weights"), (source, *saved), strict=False))
    return replace(net.with_params({**others, **loaded}), loaded=frozenset(loaded), sources=files)


def _check_arguments(phase: str, allow_custom: bool, custom_shapes: Mapping[str, Shape] | None) -> None:
    if phase not in PHASES:
        raise NetError(f"phase must be TRAIN or TEST, got {phase!r}")
    if custom_shapes and not allow_custom:
        raise NetError(f"custom shape of {min(custom_shapes)!r}: given without allow_custom")


def _upgraded(written: NetParameter, source: str, input_shapes: Mapping[str, Shape] | None) -> NetParameter:
    """The net in today's format. Raises UpgradeError, and ShapeError for ``input`` fields without sizes,
    which the upgraded net has no layer for."""
    upgraded = upgrade_net_param(written, source, input_shapes)
    tops = {top for layer in upgraded.layer if layer.type == "Input" for top in layer.top}
    lacking = [name for name in written.input if name not in tops]
    if lacking:
        raise ShapeError(f"{source}: input {lacking[0]!r} has no sizes: give them as an input shape")
    return upgraded


def read_definition_file(
    source: PathLike, allow_unknown: bool = False, allow_custom: bool = False, own_schema: bool = False
) -> PartlyKnownNet:
    """A net as it was written. Data layers of forks may have fields of their own; layers of unknown types too
    where something unknown is allowed, so that who builds the net can name the types, and layers from outside
    where there is a schema of their own. Raises ParseError."""

    def is_own(layer: LayerParameter) -> bool:
        unknown = (allow_custom or allow_unknown) and not is_known(layer)
        return unknown or is_fork_data(layer) or (own_schema and is_from_outside(layer))

    try:
        if not (allow_unknown or allow_custom or own_schema):
            return PartlyKnownNet(read_net(source), {})
    except UnknownFieldError:
        pass
    try:
        return read_partly_known_net(source, is_own, allow_unknown=allow_unknown)
    except UnknownFieldError as error:
        types = [] if allow_custom else _unknown_types(source)
        if types:
            raise error.with_advice(f"unknown layer types: {some_of(types)}; {HOW_TO_ALLOW}") from None
        if error.harmless and not allow_unknown:
            raise error.with_advice("--allow-unknown (allow_unknown) leaves it out") from None
        raise


def _unknown_types(source: PathLike) -> list[str]:
    try:
        return list(dict.fromkeys(layer.type for layer in written_layers(source) if not is_known(layer)))
    except ParseError:  # the definition has other faults as well
        return []


def build_net(
    message: NetParameter,
    phase: str,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    folder: Path = Path(),
    seed: int = 0,
    weights: Sequence[PathLike] = (),
    custom: Mapping[str, AnyLayer] | None = None,
) -> Net:
    """A net from an upgraded and filtered ``NetParameter``. Files that layers name are sought in the working
    directory, as in Caffe, and then in ``folder``; the net's ``message``, which snapshots hold, names them as
    the definition does. Several weight files are copied one after another. ``custom`` holds layers that take
    the place of those that the catalogue would make, by name."""
    resolved = NetParameter()
    resolved.CopyFrom(message)
    _resolve_files(resolved, folder)
    saved = {os.fspath(path): read_weights(path) for path in weights}
    net = replace(build(resolved, phase, input_shapes, custom), message=message)
    loaded = _loaded(net, saved)
    others = initial_params(net, seed, skip=loaded)
    return replace(net.with_params({**others, **loaded}), loaded=frozenset(loaded))


def warn_of_ignored(path: str, saved: Sequence[SavedLayer], names: Collection[str]) -> None:
    """One warning for all layers of a weight file that have blobs and none of these names, where Caffe prints
    a line for each; a louder one for a file of which nothing is left then."""
    with_blobs = [layer.name for layer in saved if layer.blobs]
    ignored = [name for name in with_blobs if name not in names]
    if ignored and len(ignored) == len(with_blobs):
        warn_caller(f"{path}: NOTHING is copied: the net has no layer of a name in it ({', '.join(ignored)})")
    elif ignored:
        warn_caller(f"{path}: Ignoring source layer {', '.join(ignored)}: not in the net")


def _tell_ignored(net: Net, saved: Mapping[str, Sequence[SavedLayer]], loaded: Collection[str]) -> None:
    """Warn as :func:`warn_of_ignored`. Where only some layers of the net have weights, :attr:`Net.loaded`
    tells the caller more."""
    if not loaded or all(use.owner in loaded for use in net.param_uses):
        for path, layers in saved.items():
            warn_of_ignored(path, layers, {layer.name for layer in net.layers})


def _warn_of_repeated(saved: Sequence[SavedLayer], source: str) -> None:
    counts = Counter(layer.name for layer in saved if layer.blobs)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        warn_caller(f"{source}: several layers are called {', '.join(repeated)}: the last one's values stay")


def _loaded(net: Net, saved: Mapping[str, Sequence[SavedLayer]]) -> dict[str, npt.NDArray[np.float32]]:
    """What the files (by path) have of a net's parameters; of what several have, the last one's."""
    loaded: dict[str, npt.NDArray[np.float32]] = {}
    for path, layers in saved.items():
        loaded.update(match_weights(net, layers, path))
    return loaded


def initial_params(
    net: Net, seed: int, skip: Mapping[str, Any] | None = None
) -> dict[str, npt.NDArray[np.float32]]:
    """The fillers' values of every parameter (by owner's key) that is not in ``skip``."""
    rng = np.random.default_rng(seed)
    values = {}
    for net_layer in net.layers:
        with naming(net_layer.place):
            for use in net_layer.params:
                if use.owner == use.key and use.key not in (skip or {}):
                    values[use.key] = fill_values(use.definition.shape, use.definition.filler, rng)
    return values


def match_weights(net: Net, saved: Sequence[SavedLayer], source: str) -> dict[str, npt.NDArray[np.float32]]:
    """The saved blobs that belong to the net's layers, by owner's key (Caffe's
    ``CopyTrainedLayersFrom``): layers the net lacks are ignored, of a shared blob the last one stays.

    Raises WeightsError for a layer with another number of blobs or a blob of another shape.
    """
    _warn_of_repeated(saved, source)
    layers = {net_layer.name: net_layer for net_layer in net.layers}
    found: dict[str, npt.NDArray[np.float32]] = {}
    for layer in saved:
        if layer.name not in layers:
            continue
        uses = layers[layer.name].params
        with naming(source):
            blobs = layer.by_index([use.owner == use.key for use in uses])
        for index, blob in blobs.items():
            use = uses[index]
            shape = use.definition.shape
            if not any(map(blob.fits, (shape, *use.definition.also_saved_as))):
                raise WeightsError(
                    f"{source}: Cannot copy param {index} weights from layer '{layer.name}'; shape mismatch."
                    f"  Source param shape is {shape_string(blob.data.shape)}; target param shape is"
                    f" {shape_string(shape)}."
                    " To learn this layer's parameters from scratch rather than copying from a saved net,"
                    " rename the layer."
                )
            found[use.owner] = blob.data.reshape(shape)
    return found


def _resolve_files(message: NetParameter, folder: Path) -> None:
    """Let the files that layers open be found in ``folder``, where the working directory lacks them."""

    def resolve(name: str) -> str:
        return str(folder / name) if not Path(name).exists() and (folder / name).exists() else name

    for definition in message.layer:
        kind = find_layer_class(definition.type)
        if kind is not None:
            kind.resolve_files(definition, resolve)

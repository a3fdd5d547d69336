"""Reading a net and its weights from Caffe's files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.blob import SavedBlob
from vggrepro.caffe.messages import PHASES, NetParameter
from vggrepro.caffe.state import filter_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.caffe.weights import SavedLayer, read_weights
from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError, WeightsError, naming
from vggrepro.layers.base import AnyLayer, ParamDef
from vggrepro.layers.registry import find_layer_class
from vggrepro.layers.rules.axes import shape_string
from vggrepro.net.custom import advising_on_shapes, warn_of_custom_nodes
from vggrepro.net.fillers import fill as fill_values
from vggrepro.net.fork_rules import BVLC, ForkRules, PathLike
from vggrepro.net.net import Net, build
from vggrepro.system.caller_warning import warn_caller


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
    rules = ForkRules(
        input_shapes or {}, allow_unknown, allow_custom, custom_shapes or {}, fork=fork, proto=proto
    )
    return load_by_rules(
        prototxt, weights, rules, phase=phase, stages=stages, level=level, seed=seed, fill=fill
    )


def load_by_rules(
    prototxt: PathLike,
    weights: PathLike | None = None,
    rules: ForkRules = BVLC,
    *,
    phase: str = "TEST",
    stages: Sequence[str] = (),
    level: int = 0,
    seed: int = 0,
    fill: bool = True,
) -> Net:
    """As :func:`load_net`, with the ``rules`` for definitions of forks in one value."""
    if phase not in PHASES:
        raise NetError(f"phase must be TRAIN or TEST, got {phase!r}")
    if isinstance(stages, str):  # its letters would be taken for stages
        raise NetError(f"stages must be a list of names, got {stages!r}")
    source = os.fspath(prototxt)
    written = rules.read(source)
    upgraded = _upgraded(written.message, source, rules.input_shapes)
    saved = {os.fspath(weights): read_weights(weights)} if weights is not None else {}
    with naming(source):
        message = rules.with_defaults(filter_net(upgraded, phase=phase, level=level, stages=stages))
        blobs = [layer for layers in saved.values() for layer in layers]
        custom = rules.layers(message, written, phase, blobs)
        _resolve_files(message, Path(source).parent)
        with advising_on_shapes(custom, message):
            net = build(message, phase, rules.input_shapes, custom)
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


def _upgraded(written: NetParameter, source: str, input_shapes: Mapping[str, Shape] | None) -> NetParameter:
    """The net in today's format. Raises UpgradeError, and ShapeError for ``input`` fields without sizes,
    which the upgraded net has no layer for."""
    upgraded = upgrade_net_param(written, source, input_shapes)
    tops = {top for layer in upgraded.layer if layer.type == "Input" for top in layer.top}
    lacking = [name for name in written.input if name not in tops]
    if lacking:
        raise ShapeError(f"{source}: input {lacking[0]!r} has no sizes: give them as an input shape")
    return upgraded


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
    with advising_on_shapes(custom or {}, message):
        net = replace(build(resolved, phase, input_shapes, custom), message=message)
    warn_of_custom_nodes(net.layers, net.shapes)
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


def match_weights(
    net: Net, saved: Sequence[SavedLayer], source: str, on_misfit: Callable[[str], None] | None = None
) -> dict[str, npt.NDArray[np.float32]]:
    """The saved blobs that belong to the net's layers, by owner's key (Caffe's
    ``CopyTrainedLayersFrom``): layers the net lacks are ignored, of a shared blob the last one stays.

    Raises WeightsError for a layer with another number of blobs or a blob of another shape. With
    ``on_misfit``, which is told why, a blob of another shape is left out.
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
            data = _fitted(blob, use.definition)
            if data is None:
                problem = (
                    f"{source}: Cannot copy param {index} weights from layer '{layer.name}'; shape mismatch."
                    f"  Source param shape is {shape_string(blob.data.shape)}; target param shape is"
                    f" {shape_string(use.definition.shape)}."
                    " To learn this layer's parameters from scratch rather than copying from a saved net,"
                    " rename the layer."
                )
                if on_misfit is None:
                    raise WeightsError(problem)
                on_misfit(problem)
                continue
            found[use.owner] = data
    return found


def _fitted(blob: SavedBlob, definition: ParamDef) -> npt.NDArray[np.float32] | None:
    """A saved blob in the shape of a parameter; None if the parameter is saved in no such shape."""
    shape = definition.shape
    if any(map(blob.fits, (shape, *definition.also_saved_as))):
        return blob.data.reshape(shape)
    if definition.spreads and len(blob.data.shape) == 4 and blob.data.shape[:2] == shape[:2]:
        averages = blob.data.mean((2, 3), keepdims=True, dtype=np.float64)
        return np.broadcast_to(averages.astype(np.float32), shape)
    return None


def _resolve_files(message: NetParameter, folder: Path) -> None:
    """Let the files that layers open be found in ``folder``, where the working directory lacks them."""

    def resolve(name: str) -> str:
        return str(folder / name) if not Path(name).exists() and (folder / name).exists() else name

    for definition in message.layer:
        kind = find_layer_class(definition.type)
        if kind is not None:
            kind.resolve_files(definition, resolve)

"""Reading a net and its weights from Caffe's files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import PHASES
from vggrepro.caffe.state import filter_net
from vggrepro.caffe.text import read_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.caffe.weights import SavedLayer, read_weights
from vggrepro.emit import Shape
from vggrepro.errors import NetError, WeightsError
from vggrepro.net.fillers import fill
from vggrepro.net.net import Net, build

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
    allow_unknown: bool = False,
) -> Net:
    """Read a net, of any of Caffe's formats, in one phase.

    Weights (.caffemodel or .h5) are copied by layer name as Caffe does; a layer that the file lacks
    keeps its filler's values, drawn from ``seed``. ``input_shapes`` gives or replaces the shapes of
    inputs. ``allow_unknown`` turns fields that BVLC Caffe does not know into warnings.

    Raises ParseError, UpgradeError, UnsupportedError, NetError, ShapeError or WeightsError.
    """
    if phase not in PHASES:
        raise NetError(f"phase must be TRAIN or TEST, got {phase!r}")
    source = os.fspath(prototxt)
    message = upgrade_net_param(read_net(source, allow_unknown=allow_unknown), source)
    net = build_net(
        filter_net(message, phase=phase, level=level, stages=stages),
        phase,
        input_shapes=input_shapes,
        folder=Path(source).parent,
        seed=seed,
        weights=[weights] if weights is not None else [],
    )
    sources = {"prototxt": source} | ({"weights": os.fspath(weights)} if weights is not None else {})
    return replace(net, sources=sources)


def build_net(
    message: Any,
    phase: str,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    folder: Path = Path(),
    seed: int = 0,
    weights: Sequence[PathLike] = (),
) -> Net:
    """A net from an upgraded and filtered ``NetParameter``. Files that layers name are sought in the working
    directory, as in Caffe, and then in ``folder``. Several weight files are copied one after another."""
    _resolve_sources(message, folder)
    net = build(message, phase, input_shapes)
    loaded: dict[str, npt.NDArray[np.float32]] = {}
    for path in weights:
        loaded.update(match_weights(net, read_weights(path), os.fspath(path)))
    filled = net.with_params({**initial_params(net, seed, skip=loaded), **loaded})
    return replace(filled, loaded=frozenset(loaded))


def initial_params(
    net: Net, seed: int, skip: Mapping[str, Any] | None = None
) -> dict[str, npt.NDArray[np.float32]]:
    """The fillers' values of every parameter (by owner's key) that is not in ``skip``."""
    rng = np.random.default_rng(seed)
    return {
        use.key: fill(use.definition.shape, use.definition.filler, rng)
        for use in net.param_uses
        if use.owner == use.key and use.key not in (skip or {})
    }


def match_weights(net: Net, saved: Sequence[SavedLayer], source: str) -> dict[str, npt.NDArray[np.float32]]:
    """The saved blobs that belong to the net's layers, by owner's key (Caffe's
    ``CopyTrainedLayersFrom``): layers the net lacks are ignored, of a shared blob the last one stays.

    Raises WeightsError for a layer with another number of blobs or a blob of another shape.
    """
    layers = {placed.name: placed for placed in net.layers}
    found: dict[str, npt.NDArray[np.float32]] = {}
    for layer in saved:
        if layer.name not in layers:
            continue
        uses = layers[layer.name].params
        try:
            blobs = layer.by_index([use.owner == use.key for use in uses])
        except WeightsError as error:
            raise WeightsError(f"{source}: {error}") from None
        for index, blob in blobs.items():
            use = uses[index]
            shape = use.definition.shape
            if not blob.fits(shape):
                raise WeightsError(
                    f"{source}: Cannot copy param {index} weights from layer '{layer.name}'; shape mismatch."
                    f"  Source param shape is {blob.data.shape}; target param shape is {shape}."
                    " To learn this layer's parameters from scratch rather than copying from a saved net,"
                    " rename the layer."
                )
            found[use.owner] = blob.data.reshape(shape)
    return found


def _resolve_sources(message: Any, folder: Path) -> None:
    for layer in message.layer:
        source = layer.infogain_loss_param.source
        if source and not Path(source).exists() and (folder / source).exists():
            layer.infogain_loss_param.source = str(folder / source)

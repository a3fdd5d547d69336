"""From a net's definition to its sites: blobs, memories, and what computes each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np

from vggrepro.caffe.messages import PHASES, TRAIN
from vggrepro.caffe.splits import insert_splits
from vggrepro.caffe.state import filter_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.data.feeds import Feed, is_read, open_feed
from vggrepro.emit import Shape
from vggrepro.errors import PycaffeError, naming
from vggrepro.layers.base import AnyLayer
from vggrepro.layers.dummy_data import DummyData
from vggrepro.layers.input import Input
from vggrepro.layers.registry import find_layer_class
from vggrepro.net import Net as Rules
from vggrepro.net import build_net
from vggrepro.net.custom import Custom
from vggrepro.net.kinds import class_of, fed_shapes, is_fork_data, is_known
from vggrepro.net.net_layer import NetLayer
from vggrepro.net.wiring import automatic_tops
from vggrepro.pycaffe import glog, mode
from vggrepro.pycaffe.blob import Blob, BlobVec, Storage
from vggrepro.pycaffe.errors import advising_on_inputs
from vggrepro.pycaffe.hosts import (
    DummyHost,
    FeedHost,
    FilterHost,
    HDF5OutputHost,
    InputHost,
    RoiPoolingHost,
)
from vggrepro.pycaffe.mat_writer import MatWriteHost
from vggrepro.pycaffe.memory_data import MemoryHost
from vggrepro.pycaffe.need_backward import decide
from vggrepro.pycaffe.python_layer import PythonHost, PythonRules, make_instance
from vggrepro.pycaffe.row_host import CustomHost, RowHost
from vggrepro.pycaffe.segments import Memories
from vggrepro.pycaffe.site import Host, Site, find_destroyed, share_memory
from vggrepro.training.definition import Definition as SolverDefinition

AUTOMATIC = "(automatic)"
"""Caffe's name of the top of a loss layer that has none."""


@dataclass(frozen=True)
class Definition:
    """A net's definition, upgraded and filtered, and all that is made of it."""

    message: Any
    """Without Split layers: what is saved."""
    rules: Rules
    sites: tuple[Site, ...]
    blobs: Mapping[str, Blob]
    outputs: tuple[str, ...]
    memories: Memories


@dataclass
class _Draft:
    """What the layers of a definition need besides their rules."""

    phase: int
    seed: int
    allow_python: bool | None
    learns: bool
    blobs: dict[str, Blob] = field(default_factory=dict)
    custom: dict[str, AnyLayer] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    shapeless: list[str] = field(default_factory=list)
    """Inputs whose shapes a script gives later: they have no axes until then, as in Caffe."""
    tops: list[list[str]] = field(default_factory=list)
    """By a layer's place in the net, as hosts are, because two layers may bear one name."""
    hosts: list[Host | None] = field(default_factory=list)

    def name_tops(self, layer: Any) -> list[str]:
        """A layer's tops. A loss layer that has none gets one, which Caffe calls automatic; here the names of
        further ones have the layers' too, and a number where those are equal."""
        names = list(layer.top)
        kind = find_layer_class(layer.type)
        missing = 0 if kind is None else automatic_tops(layer, kind)
        candidates = chain(
            (AUTOMATIC, f"{AUTOMATIC} {layer.name}"), (f"{AUTOMATIC} {layer.name}#{n}" for n in count(2))
        )
        names.extend(islice((name for name in candidates if name not in self.blobs), missing))
        self.tops.append(names)
        return names

    def vec(self, names: Sequence[str]) -> BlobVec:
        for name in names:
            if name not in self.blobs:
                self.blobs[name] = Blob()
                self.blobs[name].name = name
        return BlobVec(self.blobs[name] for name in names)


def read_message(path: str, phase: int, level: int, stages: Sequence[str]) -> tuple[Any, dict[str, AnyLayer]]:
    """The ``NetParameter`` of a file, upgraded, with the layers that a state includes; and by name those
    layers that the catalogue does not make, as the rules for definitions of forks say."""
    rules = mode.fork_rules()
    written = rules.read(path)
    upgraded = upgrade_net_param(written.message, path, rules.input_shapes)
    message = rules.with_defaults(filter_net(upgraded, phase=phase, level=level, stages=stages))
    for layer in message.layer:
        if is_read(layer) and not _is_fed(layer):
            with naming(path):
                written.check_whole(layer)
    return message, rules.for_net(message).layers(message, written, phase_name(phase))


def phase_name(phase: int) -> str:
    """TRAIN or TEST."""
    return next(key for key, number in PHASES.items() if number == phase)


def define(
    message: Any,
    phase: int,
    *,
    seed: int,
    folder: Path = Path(),
    weights: Sequence[str] = (),
    allow_python: bool | None = None,
    custom: Mapping[str, AnyLayer] | None = None,
    blobs: Mapping[str, Blob] | None = None,
) -> Definition:
    """Everything of a net from its message. ``custom`` holds layers that take the place of those that the
    catalogue would make, by name; ``blobs`` those that there are already. Raises what ``load_net`` raises,
    DataError for data that a layer cannot read, and what the setup of a Python layer raises."""
    split = insert_splits(message)
    draft = _Draft(phase, seed, allow_python, learns=phase == TRAIN or bool(message.force_backward))
    draft.custom.update(custom or {})
    draft.blobs.update(blobs or {})
    for layer in split.layer:
        draft.hosts.append(_prepare(draft, layer))
    with advising_on_inputs(draft.shapeless):
        rules = build_net(
            split,
            phase_name(phase),
            input_shapes=draft.shapes,
            folder=folder,
            seed=seed,
            weights=weights,
            custom=draft.custom,
        )
    sites = _sites(draft, rules, split.layer)
    _attach_params(rules, sites)
    for site in sites:
        if site.shares:
            share_memory(site)
    memories = _memories(sites)
    learns = [[use.needs_gradient for use in placed.params] for placed in rules.layers]
    decide(sites, learns, force=bool(message.force_backward))
    for site in sites:
        statistics = [use.definition.statistic for use in rules.layers[site.index].params]
        learned = tuple(n and not s for n, s in zip(site.needed.params, statistics, strict=True))
        site.needed = replace(site.needed, params=learned)
        _set_loss_weights(site)
    rules = replace(rules, params={})  # the blobs have them now
    return Definition(message, rules, tuple(sites), draft.blobs, tuple(rules.outputs), memories)


def define_for_solver(
    solver: SolverDefinition, message: Any, phase: int, weights: Sequence[str]
) -> Definition:
    """Everything of one of a solver's nets, as :func:`define`."""
    solver.check_read(message)
    return define(
        message,
        phase,
        seed=mode.draw_seed(),
        folder=solver.folder,
        weights=weights,
        custom=solver.own_layers(message, phase_name(phase)),
    )


def _prepare(draft: _Draft, layer: Any) -> Host | None:
    """The host of a layer that no graph computes; its rules, where the catalogue has others, go into the
    draft."""
    bottoms, tops = draft.vec(layer.bottom), draft.vec(draft.name_tops(layer))
    if layer.type == "DummyData":
        shapes = DummyData.from_param(layer, draft.phase).out_shapes(())
        draft.custom[layer.name] = Input(shapes)
        return DummyHost(shapes, np.random.default_rng([draft.seed, len(draft.hosts)]))
    if layer.type == "Python" and not _is_fed(layer):
        return _prepare_python(draft, layer, bottoms, tops)
    if is_read(layer) and not _is_fed(layer):
        feed: Feed = open_feed(layer, draft.phase, seed=draft.seed)
        draft.shapes.update({top: array.shape for top, array in feed.batch(0).items()})
        return FeedHost(feed)
    if layer.type == "MemoryData":
        return MemoryHost()
    if layer.type == "Input" or is_fork_data(layer):
        given = mode.fork_rules().input_shapes
        draft.shapes.update({top: given[top] for top in layer.top if top in given})
        is_open = layer.type == "Input" and not layer.input_param.shape
        shapeless = [top for top in layer.top if is_open and top not in draft.shapes]
        draft.shapes.update(dict.fromkeys(shapeless, ()))
        draft.shapeless += shapeless
        return InputHost(shapeless)
    if isinstance(draft.custom.get(layer.name), Custom):
        return CustomHost()
    if layer.type == "Filter":
        return FilterHost()
    if layer.type == "ROIPooling" and draft.learns:
        return RoiPoolingHost()
    if layer.type == "HDF5Output":
        return HDF5OutputHost(layer.hdf5_output_param.file_name)
    if layer.type == "MatWrite" and layer.HasField("mat_write_param"):
        return MatWriteHost.from_param(layer.mat_write_param)
    return _row_host(layer)


def _is_fed(layer: Any) -> bool:
    """Whether a layer without bottoms stands for inputs, because the shapes of all its tops are given."""
    return is_fork_data(layer) and bool(fed_shapes(layer, mode.fork_rules().input_shapes))


def _prepare_python(draft: _Draft, layer: Any, bottoms: BlobVec, tops: BlobVec) -> Host | None:
    """The host of a Python layer: the object of its class. Where its module cannot be imported, the catalogue
    may know what the published layer of that name does."""
    try:
        instance = make_instance(layer, draft.phase, draft.allow_python)
    except PycaffeError as error:
        if is_fork_data(layer):
            raise error.with_advice(
                "shapes given for its tops (--input-shape) make inputs of them"
            ) from error
        if not is_known(layer):
            raise
        glog.warning(f"{error}; computed by the layer {class_of(layer).type} of this package")
        return _row_host(layer)
    draft.custom[layer.name] = PythonRules(instance, bottoms, tops)
    return PythonHost(instance)


def _row_host(layer: Any) -> Host | None:
    rows = class_of(layer).data_rows if is_known(layer) else None
    return None if rows is None else RowHost(rows)


def _sites(draft: _Draft, rules: Rules, messages: Sequence[Any]) -> list[Site]:
    sites = []
    for index, (placed, message) in enumerate(zip(rules.layers, messages, strict=True)):
        site = Site(
            index,
            placed.name,
            message.type,
            message,
            placed.layer,
            draft.vec(message.bottom),
            draft.vec(draft.tops[index]),
            _param_blobs(placed),
            placed.loss_weights,
            draft.hosts[index],
            seed=draft.seed,
        )
        for blob, value in zip(site.tops, placed.tops, strict=True):
            blob.reshape(*rules.shapes[value])
        if site.host is None:
            site.reshape()
        sites.append(site)
    return sites


def _param_blobs(placed: NetLayer) -> BlobVec:
    if isinstance(placed.layer, PythonRules):
        blobs: BlobVec = placed.layer.instance.blobs
    else:
        blobs = BlobVec(Blob(*use.definition.shape) for use in placed.params)
    for blob, use in zip(blobs, placed.params, strict=True):
        blob.name = use.key
    return blobs


def _attach_params(rules: Rules, sites: Sequence[Site]) -> None:
    """The initial values, and one memory for all uses of a shared parameter. A Python layer's parameters keep
    what its setup wrote, unless a file gave others."""
    owners: dict[str, Blob] = {}
    for site, placed in zip(sites, rules.layers, strict=True):
        for blob, use in zip(site.blobs, placed.params, strict=True):
            if use.owner != use.key:
                blob.share(owners[use.owner], diff=True)
                continue
            owners[use.key] = blob
            if not isinstance(placed.layer, PythonRules) or use.key in rules.loaded:
                array = rules.params[use.key]
                blob.net_data[...] = array


def _memories(sites: Sequence[Site]) -> Memories:
    last = find_destroyed(sites)
    writers: dict[tuple[Storage, int], int] = {}
    present: dict[Storage, int] = {}
    for site in sites:
        for blob in site.bottoms:
            writers[blob.data_storage, site.index] = present.get(blob.data_storage, -1)
        if not site.shares:
            present.update((top.data_storage, site.index) for top in site.tops)
    return Memories(last, writers)


def _set_loss_weights(site: Site) -> None:
    """A loss's weight stands in its top's diff, where its own backward pass reads it."""
    for top, weight in zip(site.tops, site.loss_weights, strict=True):
        if weight != 0:
            top.net_diff[...] = weight

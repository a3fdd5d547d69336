"""Graphs of stretches of a net: from what its blobs hold to what they shall hold.

Between two layers that Python computes, all layers are one graph. It reads the memory of the blobs that it
finds, as Caffe's layers do, and writes that of every blob that it makes; blobs that share memory are one.
The backward graph reads the memory as well: what a script has written into a blob after the forward pass
counts. Only contents that a later layer overwrote in place are kept apart, where a gradient needs them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder, Shape, Value, model, tensor_info
from vggrepro.errors import naming
from vggrepro.graph.backward_pass import require_rule
from vggrepro.graph.model import Graph, initializers
from vggrepro.graph.naming import next_name, state_name
from vggrepro.graph.nodes import needed_nodes, rename
from vggrepro.pycaffe.blob import Blob, Storage
from vggrepro.pycaffe.site import Cell, Place, Site, Version


@dataclass(frozen=True)
class Segment:
    """A graph, and the memories that its inputs and outputs are. ``moved`` are parameters that the forward
    pass itself moves, by output; ``states`` the layers' states by input and output."""

    graph: Graph
    reads: Mapping[str, Place]
    writes: Mapping[str, Place]
    moved: Mapping[str, Place]
    states: Mapping[str, tuple[Cell, str | None]]

    @property
    def written_bytes(self) -> int:
        """How much it writes, about which its session may hold once more for itself."""
        return sum(4 * math.prod(place.shape) for place in self.writes.values())


@dataclass
class Memories:
    """What a whole net knows of its memories: the last writer of each, and the contents to keep."""

    last_writer: Mapping[Storage, int]
    writers: Mapping[tuple[Storage, int], int]
    """For a memory and a layer's index: which layer wrote what this layer reads there."""
    kept: dict[Version, Storage] = field(default_factory=dict)
    """Where contents are kept that later layers overwrite."""

    def version(self, site: Site, blob: Blob) -> Version:
        return blob.data_storage, self.writers.get((blob.data_storage, site.index), -1)

    def kept_by(self, site: Site) -> list[tuple[Blob, Storage]]:
        """The blobs whose contents must be kept before the layer overwrites them, and where."""
        blobs = {blob.data_storage: blob for blob in (*site.tops, *site.bottoms)}
        return [(blobs[version[0]], self.kept[version]) for version in site.destroys if version in self.kept]

    def is_overwritten(self, version: Version) -> bool:
        return self.last_writer.get(version[0], -1) != version[1]


class _Emitter:
    """One graph under construction, with its inputs and outputs."""

    def __init__(self, frozen: bool) -> None:
        self.g = GraphBuilder()
        self.frozen = frozen
        self.reads: dict[str, Place] = {}
        self.writes: dict[str, tuple[str, Place]] = {}
        self.moved: dict[str, tuple[str, Place]] = {}
        self.states: dict[str, tuple[Cell, str | None]] = {}
        self.params: dict[str, npt.NDArray[np.float32]] = {}
        self._inputs: dict[Storage, Value] = {}

    def memory(self, storage: Storage, shape: Shape, hint: str) -> Value:
        """A memory's present contents, as an input of the graph."""
        if storage not in self._inputs:
            name = self.g.fresh(hint)
            self._inputs[storage] = Value(name, shape)
            self.reads[name] = Place(storage, shape)
        return self.shaped(self._inputs[storage], shape)

    def param(self, blob: Blob) -> Value:
        """A parameter: an input of the graph, or a constant of a frozen one."""
        value = self.memory(blob.data_storage, blob.dims, f"param:{blob.name}")
        base = self._inputs[blob.data_storage].name
        if self.frozen and base in self.reads:
            self.params[base] = self.reads.pop(base).array()
        return value

    def shaped(self, value: Value, shape: Shape) -> Value:
        if value.dims == shape:
            return value
        return Value(self.g.op("Reshape", value.name, self.g.ints(shape)), shape)

    def state_values(self, site: Site) -> list[Value]:
        values = []
        for name, cell in site.states.items():
            key = state_name(site.name, name)
            self.g.reserve(key)
            self.states[key] = (cell, None)
            values.append(Value(key, cell.used.shape, cell.used.dtype))
        return values

    def finish(self, name: str) -> Segment:
        pairs = {**{n: t for n, (t, _) in self.writes.items()}, **{n: t for n, (t, _) in self.moved.items()}}
        pairs |= {f"{key}'": after for key, (_, after) in self.states.items() if after is not None}
        nodes, used = needed_nodes(rename(self.g.nodes, [(t, n) for n, t in pairs.items()]), pairs)
        nodes, constants = self._fold_shapes(nodes)
        used = {name for node in nodes for name in node.input}
        reads = {n: p for n, p in self.reads.items() if n in used}
        states = {
            k: (c, f"{k}'" if a is not None else None) for k, (c, a) in self.states.items() if k in used
        }
        arrays = {**self.params, **self.g.constants, **constants}
        protos, weights = initializers({n: a for n, a in arrays.items() if n in used})
        writes, moved = ({n: place for n, (_, place) in given.items()} for given in (self.writes, self.moved))
        result = model(
            name,
            nodes,
            [
                *(tensor_info(n, p.shape, np.float32) for n, p in reads.items()),
                *(tensor_info(k, c.used.shape, c.used.dtype) for k, (c, _) in states.items()),
            ],
            [
                *(tensor_info(n, p.shape, np.float32) for n, p in {**writes, **moved}.items()),
                *(tensor_info(a, c.used.shape, c.used.dtype) for c, a in states.values() if a),
            ],
            protos,
            {},
        )
        return Segment(Graph(result, weights), reads, writes, moved, states)

    def _fold_shapes(self, nodes: Sequence[Any]) -> tuple[list[Any], dict[str, npt.NDArray[np.int64]]]:
        """Shapes of inputs are known: an input of which only the shape matters need not be given."""
        known = {
            node.output[0]: np.array(self.reads[node.input[0]].shape, np.int64)
            for node in nodes
            if node.op_type == "Shape" and not node.attribute and node.input[0] in self.reads
        }
        return [node for node in nodes if node.output[0] not in known], known


def forward_segment(sites: Sequence[Site], memories: Memories, *, frozen: bool) -> Segment:
    """The forward pass of ``sites``. ``frozen``: with the parameters' present values as constants."""
    e = _Emitter(frozen)
    current: dict[Storage, Value] = {}
    for site in sites:
        if site.shares:
            continue
        bottoms = [_read(e, current, blob) for blob in site.bottoms]
        for blob, kept in memories.kept_by(site):
            now = _read(e, current, blob)
            e.writes[e.g.fresh(f"kept:{site.name}")] = (now.name, Place(kept, blob.dims))
        states = e.state_values(site)
        with e.g.scope(site.name):
            emitted = site.layer.emit(e.g, bottoms, [e.param(blob) for blob in site.blobs], states)
        for top, made in zip(site.tops, emitted.tops, strict=True):
            current[top.data_storage] = Value(made, top.dims)
        for value, after in zip(states, emitted.next_states, strict=True):
            e.states[value.name] = (e.states[value.name][0], after)
        for index, made in emitted.next_params.items():
            blob = site.blobs[index]
            e.moved[next_name(site.name, index)] = (made, Place(blob.data_storage, blob.dims))
    made_here = {top.data_storage: top for site in sites if not site.shares for top in site.tops}
    for storage, top in made_here.items():
        value = current[storage]
        e.writes[e.g.fresh(f"out:{top.name}")] = (value.name, Place(storage, value.shape))
    return e.finish("forward")


def _read(e: _Emitter, current: dict[Storage, Value], blob: Blob) -> Value:
    if blob.data_storage in current:
        return e.shaped(current[blob.data_storage], blob.dims)
    return e.memory(blob.data_storage, blob.dims, f"data:{blob.name}")


def backward_segment(sites: Sequence[Site], memories: Memories) -> Segment:
    """The backward pass of ``sites``, given in the order of the net."""
    e = _Emitter(frozen=False)
    diffs: dict[Storage, Value] = {}
    totals: dict[Storage, Value] = {}
    for site in reversed(sites):
        if not _computes(site):
            continue
        with e.g.scope(f"d:{site.name}"), naming(site.place):
            require_rule(site.layer, [blob.name for blob in site.bottoms], site.needed)
            d_tops = [_diff(e, diffs, top).name for top in site.tops]
            found_bottoms, found_params = _gradients(e, site, memories, d_tops)
            for blob, d in zip(site.bottoms, found_bottoms, strict=False):
                if d is not None:
                    diffs[blob.diff_storage] = Value(d, blob.dims)
            for blob, d in zip(site.blobs, found_params, strict=False):
                if d is not None:
                    _add(e, totals, blob, Value(d, blob.dims))
    for storage, value in {**diffs, **totals}.items():
        e.writes[e.g.fresh("diff")] = (value.name, Place(storage, value.shape))
    return e.finish("backward")


def _computes(site: Site) -> bool:
    if not site.runs_backward or (site.shares and site.type != "Split"):
        return False
    return any((*site.needed.bottoms, *site.needed.params))


def _gradients(
    e: _Emitter, site: Site, memories: Memories, d_tops: list[str]
) -> tuple[Sequence[str | None], Sequence[str | None]]:
    """The layer's own gradients. What its rule saved is computed again from what its bottoms hold; a top that
    still holds what the layer made is read instead of computed."""
    g = e.g
    bottoms = [_contents(e, site, memories, blob) for blob in site.bottoms]
    params = [e.param(blob) for blob in site.blobs]
    emitted = site.layer.emit(g, bottoms, params, e.state_values(site))
    last = [[_now(e, blob).name for blob in blobs] for blobs in (site.bottoms, site.tops)]
    saved = site.layer.reread(emitted.saved, *last)
    first = len(g.nodes)
    gradients = site.layer.grad(g, saved, list(d_tops), site.needed)
    taken = {value.name for value in (*bottoms, *params)}
    made = {
        name: held
        for name, held, top in zip(emitted.tops, last[1], site.tops, strict=True)
        if name not in taken and memories.last_writer.get(top.data_storage) == site.index
    }
    for node in g.nodes[first:]:
        node.input[:] = [made.get(name, name) for name in node.input]
    return gradients.bottoms, gradients.params


def _contents(e: _Emitter, site: Site, memories: Memories, blob: Blob) -> Value:
    """What the layer read in the forward pass: the blob's memory, or what was kept of it."""
    version = memories.version(site, blob)
    if not memories.is_overwritten(version):
        return _now(e, blob)
    kept = memories.kept.setdefault(version, Storage())
    return e.memory(kept, blob.dims, f"kept:{blob.name}")


def _now(e: _Emitter, blob: Blob) -> Value:
    return e.memory(blob.data_storage, blob.dims, f"data:{blob.name}")


def _diff(e: _Emitter, diffs: Mapping[Storage, Value], blob: Blob) -> Value:
    if blob.diff_storage in diffs:
        return e.shaped(diffs[blob.diff_storage], blob.dims)
    return e.memory(blob.diff_storage, blob.dims, f"diff:{blob.name}")


def _add(e: _Emitter, totals: dict[Storage, Value], blob: Blob, d: Value) -> None:
    """Caffe adds to a parameter's diff, so that several passes add up."""
    total = totals.get(blob.diff_storage) or e.memory(blob.diff_storage, blob.dims, f"diff:{blob.name}")
    summed = e.g.op("Add", total.name, e.shaped(d, total.shape).name)
    totals[blob.diff_storage] = Value(summed, total.dims)


def kept_versions(segments: Iterable[Segment], memories: Memories) -> dict[Version, Storage]:
    """Of the contents that could be kept, those that these segments read."""
    read = {place.storage for segment in segments for place in segment.reads.values()}
    return {version: kept for version, kept in memories.kept.items() if kept in read}

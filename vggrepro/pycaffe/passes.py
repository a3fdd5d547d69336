"""Forward and backward passes over a range of layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import VggReproError, naming
from vggrepro.pycaffe import mode
from vggrepro.pycaffe.backward_rules import BACKWARD_RULES, Rule, kind_of
from vggrepro.pycaffe.blob import Blob, Storage
from vggrepro.pycaffe.definition import Definition
from vggrepro.pycaffe.engine import Program
from vggrepro.pycaffe.segments import Segment, backward_segment, forward_segment, kept_versions
from vggrepro.pycaffe.site import Site

PROGRAMS = 4
"""Sessions that a net keeps for one stretch of layers, at several shapes, however much they write; the oldest
is dropped first."""

SMALL_PROGRAMS = 32
"""The same, of sessions that together write no more than ``SMALL_BYTES``: those of a pyramid of images."""

SMALL_BYTES = 256 << 20
"""What a session writes it may hold once more."""

FROZEN = 1
"""The same, of sessions with constant parameters, each of which may hold the parameters once more."""

STABLE = 3
"""After how many passes without a look at the parameters they are made constants again."""

Callback = Callable[[int], Any]


class Passes:
    """Runs the layers of a net. All layers between two that Python computes are one run of one graph, which
    is compiled once for each set of shapes."""

    def __init__(self, definition: Definition, *, learns: bool) -> None:
        self.sites = definition.sites
        self.memories = definition.memories
        self.before_forward: list[Callback] = []
        self.after_forward: list[Callback] = []
        self.before_backward: list[Callback] = []
        self.after_backward: list[Callback] = []
        self._threads = mode.threads()
        self._programs: dict[Any, OrderedDict[Any, Program]] = {}
        self._settled: dict[tuple[int, int], list[Shape]] = {}
        self._keeps = False
        self._freezes = not learns
        self._calm: dict[tuple[int, int], tuple[Any, int]] = {}
        if learns:
            self._keep()

    def forward(self, start: int, end: int) -> None:
        for stretch in self._stretches(start, end, self.before_forward or self.after_forward):
            self._call(self.before_forward, stretch)
            self._forward(stretch)
            self._call(self.after_forward, stretch)

    def backward(self, start: int, end: int, rules: str | None = None) -> None:
        """Run backward by a set of ``BACKWARD_RULES`` (default: that of the mode)."""
        if not self._keeps:
            self._keep()
            if self.memories.kept:
                self._forward_again()
        others = BACKWARD_RULES[rules or mode.backward_rules()]
        parts = list(self._stretches(end, start, others or self.before_backward or self.after_backward))
        for stretch in reversed(parts):
            self._call(self.before_backward, stretch)
            self._pass_back(stretch, others.get(kind_of(stretch[0])))
            self._call(self.after_backward, stretch)

    def reshape(self) -> None:
        """Give every blob the shape that follows from the inputs' (Caffe's ``Net::Reshape``)."""
        for site in self.sites:
            with naming(site.place):
                site.reshape()

    def forget(self) -> None:
        """Drop what was compiled: parameters have other memories now."""
        self._programs.clear()

    def _stretches(self, start: int, end: int, single: Any) -> Iterator[list[Site]]:
        """The layers from ``start`` to ``end``, in the pieces in which they are computed."""
        sites = self.sites[start : end + 1]
        if single:
            yield from ([site] for site in sites)
            return
        for is_host, group in groupby(sites, lambda site: site.host is not None):
            members = list(group)
            yield from ([site] for site in members) if is_host else (members,)

    @staticmethod
    def _call(callbacks: Sequence[Callback], stretch: Sequence[Site]) -> None:
        for callback in callbacks:
            callback(stretch[0].index)

    def _forward(self, stretch: list[Site]) -> None:
        first = stretch[0]
        if first.host is not None:
            self._save_destroyed(first)
            with naming(first.place):
                first.host.reshape(first)
                first.host.forward(first)
            return
        shapes = self._settle(stretch)
        if all(site.shares for site in stretch):
            return
        frozen = self._freezes and self._is_stable(stretch, shapes)
        versions = self._versions(stretch) if frozen else None
        key = (tuple(shapes), _memories(stretch), self._keeps, versions)
        kind = "frozen" if frozen else "forward"
        self._run(kind, stretch, key, lambda: forward_segment(stretch, self.memories, frozen=frozen))

    def _pass_back(self, stretch: list[Site], rule: Rule | None) -> None:
        first = stretch[0]
        if rule is None or not first.runs_backward:
            self._backward(stretch)
            return
        with naming(first.place):
            rule(first)

    def _backward(self, stretch: list[Site]) -> None:
        first = stretch[0]
        if first.host is not None:
            if first.runs_backward:
                with naming(first.place):
                    first.host.backward(first)
            return
        key = (tuple(_shapes(stretch)), _memories(stretch))
        self._run("backward", stretch, key, lambda: backward_segment(stretch, self.memories))

    def _run(self, kind: str, stretch: Sequence[Site], key: Any, make: Callable[[], Segment]) -> None:
        """Run the program of a stretch for ``key``, which is made on first use."""
        place = (kind, mode.device_name(), stretch[0].index, len(stretch))
        programs = self._programs.setdefault(place, OrderedDict())
        if key not in programs:
            segment = make()
            _make_room(programs, segment.written_bytes, frozen=kind == "frozen")
            programs[key] = Program(segment, mode.device_name(), self._threads)
        programs.move_to_end(key)
        programs[key].run()

    def _settle(self, stretch: list[Site]) -> list[Shape]:
        """The shapes of a stretch's blobs. The layers' rules are only asked after a change."""
        place = (stretch[0].index, len(stretch))
        shapes = _shapes(stretch)
        if self._settled.get(place) != shapes:
            for site in stretch:
                with naming(site.place):
                    site.reshape()
            shapes = self._settled[place] = _shapes(stretch)
        return shapes

    def _versions(self, stretch: Sequence[Site]) -> tuple[int, ...]:
        return tuple(blob.data_storage.version for site in stretch for blob in site.blobs)

    def _is_stable(self, stretch: Sequence[Site], shapes: Sequence[Shape]) -> bool:
        """Whether the parameters may be constants of the graph, which makes it faster, but slow to compile:
        nobody holds an array of theirs, and for some passes nobody has asked for one, and the shapes have
        been the same. Before the first pass all is well."""
        place = (stretch[0].index, len(stretch))
        versions = (self._versions(stretch), tuple(shapes))
        known, passes = self._calm.get(place, (versions, STABLE))
        held = any(blob.data_storage.held for site in stretch for blob in site.blobs)
        passes = 0 if held or known != versions else passes + 1
        self._calm[place] = (versions, passes)
        return passes >= STABLE

    def _keep(self) -> None:
        """From now on forward keeps what backward needs and later layers overwrite."""
        self._keeps, self._freezes = True, False
        native = [list(s) for s in self._stretches(0, len(self.sites) - 1, None) if s[0].host is None]
        try:
            needed = [backward_segment(stretch, self.memories) for stretch in native]
        except VggReproError:  # told when backward runs
            needed = []
        self.memories.kept = kept_versions(needed, self.memories)

    def _save_destroyed(self, site: Site) -> None:
        for blob, kept in self.memories.kept_by(site):
            kept.array(blob.dims)[...] = blob.net_data

    def _forward_again(self) -> None:
        """Compute what the forward pass did not keep, from what the data layers left."""
        for stretch in self._stretches(0, len(self.sites) - 1, None):
            if stretch[0].host is None:
                self._forward(stretch)


def _make_room(programs: OrderedDict[Any, Program], size: int, *, frozen: bool) -> None:
    """Drop the oldest programs until there is room for one that writes ``size`` bytes."""

    def most() -> int:
        if frozen:
            return FROZEN
        written = size + sum(program.size for program in programs.values())
        return SMALL_PROGRAMS if written <= SMALL_BYTES else PROGRAMS

    while len(programs) >= most():
        programs.popitem(last=False)


def _shapes(stretch: Sequence[Site]) -> list[Shape]:
    blobs: dict[Blob, None] = {}
    for site in stretch:
        blobs.update(dict.fromkeys((*site.bottoms, *site.tops)))
    return [blob.dims for blob in blobs]


def _memories(stretch: Sequence[Site]) -> tuple[Storage, ...]:
    """Where the parameters are: a script may put another blob into ``net.params[layer]``."""
    return tuple(blob.data_storage for site in stretch for blob in site.blobs)

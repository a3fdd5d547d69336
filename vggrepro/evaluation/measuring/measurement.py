"""Measuring: filling a view cache with every row that an evaluation needs and the cache lacks."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Doubles, Ints, Singles
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.goals import EvaluationPlan
from vggrepro.evaluation.measuring.cache_folder import opened_cache
from vggrepro.evaluation.measuring.evaluated_net import (
    EvaluatedNet,
    check_scales,
    load_classifier,
)
from vggrepro.evaluation.measuring.pipeline import Answer, Execution, ImageProblem, ImageSet
from vggrepro.evaluation.measuring.size_order import ordered_by_size
from vggrepro.evaluation.measuring.view_batches import windows
from vggrepro.evaluation.measuring.view_cache import BAD, PENDING, StreamCache, ViewCache
from vggrepro.evaluation.protocols import Stream, are_posteriors, view_means
from vggrepro.runtime.device import parse_device, require
from vggrepro.system.progress import progress
from vggrepro.system.quantities import size
from vggrepro.system.ranks import Ranks

Advance = Callable[[float], None]
"""Called with a fraction of one image's work as it gets done."""


class StreamCaches:
    """The caches of several streams, open. Use as a context manager.

    ``indexes`` (n,) are always places of images in the source that the ``cache`` belongs to.
    """

    def __init__(self, cache: ViewCache, streams: Sequence[Stream]) -> None:
        self.cache = cache
        self.streams = tuple(streams)
        self._open: dict[Stream, StreamCache] = {}

    def __enter__(self) -> StreamCaches:
        with ExitStack() as stack:
            for stream in self.streams:
                self._open[stream] = self.cache.open(stream)
                stack.callback(self._open[stream].close)
            self._files = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def image_bytes(self) -> int:
        """Bytes of one image's rows in all streams."""
        return sum(store.row_bytes for store in self._open.values())

    def pending(self, stream: Stream, indexes: Ints) -> npt.NDArray[np.bool_]:
        """Which of the images have not been measured in one stream: (n,)."""
        states: npt.NDArray[np.bool_] = self._open[stream].states(indexes) == PENDING
        return states

    def lacks(self, indexes: Ints) -> bool:
        """Whether one of the images has not been measured in one of the streams."""
        return any(self.pending(stream, indexes).any() for stream in self.streams)

    def missing_bytes(self, indexes: Ints) -> int:
        """Bytes that the rows of the images that have not been measured will take on the disk."""
        return sum(
            int(np.count_nonzero(self.pending(stream, indexes))) * store.row_bytes
            for stream, store in self._open.items()
        )

    def finished(self, indexes: Ints, crop: int) -> float:
        """How many images' worth of work is done. ``crop`` is the side of the network's input in pixels."""
        return sum(
            share * int(np.count_nonzero(~self.pending(stream, indexes)))
            for stream, share in work_shares(self.streams, crop).items()
        )

    def bad(self, indexes: Ints) -> npt.NDArray[np.bool_]:
        """Which of the images cannot be decoded: (n,)."""
        states = np.stack([store.states(indexes) for store in self._open.values()])
        bad: npt.NDArray[np.bool_] = (states == BAD).any(axis=0)
        return bad

    def rows(self, stream: Stream, indexes: Ints) -> Singles:
        """The images' rows (n, V, D) in one stream. Raises ProtocolError if one has not been measured, or is
        not intact."""
        store = self._open[stream]
        rows = store.read(indexes)
        wrong = indexes[~self.cache.kind.intact(rows)]
        if len(wrong):
            raise ProtocolError(f"{store.path}: {self._nothing_in(wrong)}")
        return rows

    def means(self, indexes: Ints) -> dict[Stream, Doubles]:
        """The images' mean posteriors over the views of each stream: (n, K) each. Raises ProtocolError if
        one has not been measured, or does not sum to 1."""
        means = {stream: view_means(store.read(indexes)) for stream, store in self._open.items()}
        for stream, found in means.items():
            wrong = indexes[~are_posteriors(found)]
            if len(wrong):
                raise ProtocolError(f"{self._open[stream].path}: {self._nothing_in(wrong)}")
        return means

    def forget_damaged(self, indexes: Ints) -> None:
        """Count those of the images as pending, with a warning, whose rows a disk has lost, and those that
        cannot be decoded and of which no note says why."""
        noted = np.fromiter(self.cache.notes("bad"), np.int64)
        for store in self._open.values():
            unexplained = np.setdiff1d(indexes[store.states(indexes) == BAD], noted)
            wrong = np.union1d(store.damaged(indexes), unexplained)
            if len(wrong):
                warnings.warn(f"{store.path}: {self._nothing_in(wrong)}: measured again", stacklevel=2)
                store.forget(wrong)

    def fill(
        self,
        network: EvaluatedNet,
        images: ImageSet,
        execution: Execution,
        ranks: Ranks,
        advance: Advance,
    ) -> None:
        """Measure what is pending of the ``images``; all streams must be of ``network``. Each rank takes
        every ``ranks.size``-th window of images. Afterwards all that this rank has measured is on the disk.

        Raises DataError for an image that cannot be decoded, unless ``images`` says to skip such images.
        """
        mine = _windows_of(ranks, images, execution)
        todo = [window for window in mine if self.lacks(window)]
        if not todo:
            return
        score = self.cache.kind.score(network, self.streams, execution)
        shares = work_shares(self.streams, network.crop)
        pipeline = network.pipeline(images, self.streams, execution)
        for found in pipeline.answers(todo, score, self.pending):
            if isinstance(found, Answer):
                if self._keep(found):
                    advance(shares[found.stream])
                continue
            self.cache.note(found.index, images.source.key(found.index), found.kind, found.reason)
            if found.kind == "bad":
                self._keep_bad(found)
                advance(1.0)
        for store in self._open.values():
            store.flush()

    def _keep(self, answer: Answer) -> bool:
        """Write an answer; whether there was none before."""
        row = self.cache.kind.kept(answer, views=self.cache.keep_views)
        new = bool(self.pending(answer.stream, np.asarray([answer.index]))[0])
        self._open[answer.stream].write(answer.index, row)
        return new

    def _keep_bad(self, problem: ImageProblem) -> None:
        for store in self._open.values():
            store.write_bad(problem.index)

    def _nothing_in(self, indexes: Ints, most: int = 5) -> str:
        """Names images, by number, whose rows cannot be right."""
        shown = ", ".join(map(str, indexes[:most])) + (", ..." if len(indexes) > most else "")
        return f"no {self.cache.kind.holds} in the rows of {len(indexes)} images (number {shown})"


def _windows_of(ranks: Ranks, images: ImageSet, execution: Execution) -> list[Ints]:
    """The windows of images that this rank measures."""
    return windows(images.indexes, execution.window)[ranks.rank :: ranks.size]


def work_shares(streams: Sequence[Stream], crop: int) -> dict[Stream, float]:
    """Each stream's part of the work on one image, by pixels; the parts sum to 1. ``crop`` is the side of
    crops in pixels."""
    pixels = {s: float(s.view_count * (s.scale if s.view_kind == "dense" else crop) ** 2) for s in streams}
    return {stream: count / sum(pixels.values()) for stream, count in pixels.items()}


@dataclass(frozen=True, eq=False)
class Measurement:
    """A ``cache`` with the log posteriors of the images at ``indexes``: all that were asked for and can be
    decoded. ``classes`` is how many the networks have; ``networks`` says, ready for JSON, what the numbers
    depend on; ``seconds`` is the time that measuring took."""

    cache: ViewCache
    indexes: Ints
    classes: int
    networks: tuple[dict[str, Any], ...]
    seconds: float


@contextmanager
def measure(
    plan: EvaluationPlan,
    images: ImageSet,
    execution: Execution,
    ranks: Ranks,
    folder: Path | None,
    check: Callable[[int], None],
) -> Iterator[Measurement]:
    """Fill the view cache in ``folder``, or in a temporary one that is removed afterwards, for all streams of
    the plan.

    Every rank runs this and gets the same. ``check`` is called with each network's number of classes before
    it is measured. Progress goes to stderr. Raises what :meth:`StreamCaches.fill` and :class:`ViewCache`
    raise, and ProtocolError for networks whose classes differ.
    """
    began = time.monotonic()
    with opened_cache(images.source, ranks, folder) as cache:
        networks: list[EvaluatedNet] = []
        for number, files in enumerate(plan.files, 1):
            network = load_classifier(files, plan.mean, plan.score_blob)
            check(network.channels)
            networks.append(network)
            _check_classes(networks)
            streams = [stream for stream in plan.streams if stream.net == network.name]
            label = f"{network.name} ({number}/{len(plan.files)})" if len(plan.files) > 1 else network.name
            measure_network(cache, network, streams, images, execution, ranks, label)
        with StreamCaches(cache, plan.streams) as caches:
            bad = bad_images(caches, images)
        facts = tuple(
            {"name": network.name, "parameters": network.parameters, **network.facts()}
            for network in networks
        )
        seconds = time.monotonic() - began
        yield Measurement(cache, images.indexes[~bad], networks[0].channels, facts, seconds)
        ranks.barrier()  # every rank has read what it wants: the first may remove a temporary folder


def _check_classes(networks: Sequence[EvaluatedNet]) -> None:
    first, last = networks[0], networks[-1]
    if last.channels != first.channels:
        raise ProtocolError(
            f"{last.name} has {last.channels} classes, {first.name} has {first.channels}:"
            " they cannot be fused"
        )


def bad_images(caches: StreamCaches, images: ImageSet) -> npt.NDArray[np.bool_]:
    """Which of the images cannot be decoded: (n,). Raises DataError for one that an earlier run skipped,
    where this one is to end at such images."""
    bad = caches.bad(images.indexes)
    if bad.any() and images.on_bad == "error":
        raise DataError(_skipped_before(caches.cache, images, int(images.indexes[bad][0])))
    return bad


def measure_network(
    cache: ViewCache,
    network: EvaluatedNet,
    streams: Sequence[Stream],
    images: ImageSet,
    execution: Execution,
    ranks: Ranks,
    label: str,
) -> None:
    """Measure one network's streams, all ranks together; the first one makes their caches. ``label`` names
    the network in the progress bar. Raises what :meth:`StreamCaches.fill` and :class:`ViewCache` raise."""
    check_scales(network, streams)
    if not ranks.rank:
        for stream in streams:
            reading = images.reading.changed(stream.changes)
            facts = {**cache.kind.facts(network), **reading.facts(), **execution.facts()}
            cache.create(stream, cache.kind.width(network), facts)
    ranks.barrier()
    _check_device(cache, streams, images, execution)
    images = ordered_by_size(images, streams, execution.workers, ranks)
    with StreamCaches(cache, streams) as caches:
        mine = _windows_of(ranks, images, execution)
        caches.forget_damaged(np.concatenate([images.indexes[:0], *mine]))
        if not ranks.rank:
            _check_room(cache, caches.missing_bytes(images.indexes))
        done = caches.finished(images.indexes, network.crop)
        ranks.barrier()  # no rank writes before the first one has found room
        with progress(label, len(images.indexes), done, ranks) as advance:
            caches.fill(network, images, execution, ranks, advance)
    ranks.barrier()


def _check_device(
    cache: ViewCache, streams: Sequence[Stream], images: ImageSet, execution: Execution
) -> None:
    """Raise DeviceError before any image is read where one must be measured and the device does not work."""
    with StreamCaches(cache, streams) as caches:
        if caches.lacks(images.indexes):
            require(parse_device(execution.device))


def _check_room(cache: ViewCache, needed: int) -> None:
    free = shutil.disk_usage(cache.root).free
    if needed > free:
        raise ProtocolError(
            f"{cache.root}: {size(free)} free, the {cache.kind.holds} need {size(needed)};"
            " give --cache a folder with more room"
        )


def _skipped_before(cache: ViewCache, images: ImageSet, index: int) -> str:
    reason = cache.notes("bad").get(index, "cannot be decoded")
    return f"{images.source.key(index)}: {reason} (an earlier run skipped it)"

"""Filling a view cache: decode, rescale, cut views, run the network, keep its posteriors.

Images go through in windows. A window is decoded by threads while the one before it is on the device; its
views are batched across images by size. Nothing held here grows with the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from vggrepro.data.decode import Pixels
from vggrepro.data.parallel import ordered_map
from vggrepro.data.preprocess import to_blob
from vggrepro.data.sources.base import Source
from vggrepro.errors import DataError
from vggrepro.evaluation.batches import Batch, plan, windows
from vggrepro.evaluation.cache import BAD, PENDING, StreamCache, ViewCache
from vggrepro.evaluation.network import Network, Scorer
from vggrepro.evaluation.protocols import Stream, posteriors
from vggrepro.evaluation.ranks import Ranks
from vggrepro.evaluation.views import Reading, Rescaled, load

Indexes = npt.NDArray[np.int64]
OnBad = Literal["error", "skip"]


@dataclass(frozen=True)
class Running:
    """How to run; none of it changes a result. ``batch`` counts views of the network's own input size: larger
    views go in smaller batches, of the same number of pixels. ``window`` counts images."""

    device: str = "cpu"
    threads: int = 0
    batch: int = 8
    window: int = 128
    workers: int = 2


@dataclass(frozen=True)
class Task:
    """Which images to evaluate, and how they are read. ``indexes`` are places in ``source``."""

    source: Source
    indexes: Indexes
    reading: Reading = field(default_factory=Reading)
    on_bad: OnBad = "error"


Advance = Callable[[float], None]
"""Called with a fraction of one image's work as it gets done."""


def fill(
    cache: ViewCache,
    network: Network,
    streams: Sequence[Stream],
    task: Task,
    running: Running,
    ranks: Ranks,
    advance: Advance,
) -> None:
    """Measure what the cache lacks of ``streams``, all of ``network``; each rank takes every size-th window.

    Raises DataError for an image that cannot be decoded, unless the task says to skip such images.
    """
    with _Stores(cache, streams) as stores:
        parts = [task.indexes[w.start : w.stop] for w in windows(len(task.indexes), running.window)]
        todo = [part for part in parts[ranks.rank :: ranks.size] if stores.lacks(part)]
        if not todo:
            return
        dense = any(stream.views == "dense" for stream in streams)
        scorer = Scorer(network, running.device, convolutional=dense, threads=running.threads)
        feeding = _Feeding(cache, network, tuple(streams), task, running, stores)
        collecting = _Collecting(stores, shares(streams, network.crop), advance)
        for fed in ordered_map(feeding.feed, feeding.works(todo), threads=1, ahead=3):
            if isinstance(fed, _Bad):
                collecting.add_bad(fed)
            else:
                average = fed.work.stream.average
                collecting.add(fed.work, posteriors(scorer(fed.blob), average))


def shares(streams: Sequence[Stream], crop: int) -> dict[Stream, float]:
    """Each stream's part of the work on one image, by pixels: for progress and time left."""
    pixels = {s: float(s.count * (s.scale if s.views == "dense" else crop) ** 2) for s in streams}
    return {stream: count / sum(pixels.values()) for stream, count in pixels.items()}


@dataclass(frozen=True, eq=False)
class _Work:
    """One batch of a window: the pictures of its views, (h, w, 3) each."""

    stream: Stream
    batch: Batch
    pictures: list[Pixels]
    window: Indexes


@dataclass(frozen=True, eq=False)
class _Fed:
    """The same as a blob (n, 3, h, w), ready for the device."""

    work: _Work
    blob: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Bad:
    """Images that cannot be decoded."""

    indexes: Indexes


@dataclass
class _Stores:
    """The open stream caches of one network."""

    cache: ViewCache
    streams: Sequence[Stream]
    open: dict[Stream, StreamCache] = field(default_factory=dict)

    def __enter__(self) -> _Stores:
        self.open.update((stream, self.cache.open(stream)) for stream in self.streams)
        return self

    def __exit__(self, *_: object) -> None:
        for store in self.open.values():
            store.close()

    def lacks(self, indexes: Indexes) -> bool:
        return any((store.states(indexes) == PENDING).any() for store in self.open.values())


@dataclass(frozen=True)
class _Feeding:
    """Plans the batches, from images that threads decode up to a window ahead, and makes their blobs."""

    cache: ViewCache
    network: Network
    streams: tuple[Stream, ...]
    task: Task
    running: Running
    stores: _Stores

    def works(self, parts: Sequence[Indexes]) -> Iterator[_Work | _Bad]:
        """Batches of all streams over the windows ``parts``."""
        wanted = (int(index) for part in parts for index in part)
        running = self.running
        loaded = ordered_map(self._load, wanted, threads=running.workers, ahead=running.window)
        for part in parts:
            yield from self._batches(part, self._settled(part, list(islice(loaded, len(part)))))

    def feed(self, work: _Work | _Bad) -> _Fed | _Bad:
        if isinstance(work, _Bad):
            return work
        return _Fed(work, to_blob(np.stack(work.pictures), self.network.mean))

    def _load(self, index: int) -> Rescaled | DataError:
        try:
            scales = sorted({stream.scale for stream in self.streams})
            return load(self.task.source, index, scales, self.task.reading)
        except DataError as error:
            if self.task.on_bad == "error":
                raise
            return error

    def _settled(self, part: Indexes, loaded: Sequence[Rescaled | DataError]) -> dict[int, Rescaled]:
        """The window's images by position, without the bad ones; what is odd is noted."""
        images = {}
        for position, image in enumerate(loaded):
            index = int(part[position])
            key = self.task.source.key(index)
            if isinstance(image, DataError):
                self.cache.note(index, key, "bad", str(image))
                continue
            if image.truncated:
                self.cache.note(index, key, "truncated", "ends early: what is missing is grey")
            images[position] = image
        return images

    def _batches(self, part: Indexes, images: Mapping[int, Rescaled]) -> Iterator[_Work | _Bad]:
        bad = [position for position in range(len(part)) if position not in images]
        if bad:
            yield _Bad(part[bad])
        crop, pixels = self.network.crop, self.running.batch * self.network.crop**2
        for stream in self.streams:
            pending = self.stores.open[stream].states(part) == PENDING
            sizes = [images[p].size(stream, crop) if p in images else None for p in range(len(part))]
            for batch in plan(sizes, stream.count, pixels):
                if any(pending[position] for position in batch.positions):
                    pictures = [images[v.position].view(stream, v.number, crop) for v in batch.views]
                    yield _Work(stream, batch, pictures, part)


class _Collecting:
    """Puts the posteriors of batches together by image, and stores each image that is complete.

    A resumed run skips the batches in which no image is pending. In the others images that were finished
    before may come again, to the same bits; of those that come in part nothing is kept.
    """

    def __init__(self, stores: _Stores, shares: Mapping[Stream, float], advance: Advance) -> None:
        self._stores, self._shares, self._advance = stores, shares, advance
        self._partial: dict[int, dict[int, npt.NDArray[np.float32]]] = {}
        self._current: tuple[Stream, int] | None = None

    def add(self, work: _Work, answers: npt.NDArray[np.float32]) -> None:
        """``answers`` (n, K): a posterior for each view of the batch."""
        current = (work.stream, int(work.window[0]))
        if current != self._current:
            self._current, self._partial = current, {}
        for view, answer in zip(work.batch.views, answers, strict=True):
            index = int(work.window[view.position])
            views = self._partial.setdefault(index, {})
            views[view.number] = answer
            if len(views) == work.stream.count:
                self._finish(work.stream, index, np.stack([views[v] for v in range(work.stream.count)]))

    def add_bad(self, work: _Bad) -> None:
        for stream, store in self._stores.open.items():
            for index in work.indexes:
                store.write_bad(int(index))
                self._advance(self._shares[stream])

    def _finish(self, stream: Stream, index: int, rows: npt.NDArray[np.float32]) -> None:
        """``rows``: (V, K)."""
        del self._partial[index]
        store = self._stores.open[stream]
        if store.states(np.asarray([index]))[0] == PENDING:
            self._advance(self._shares[stream])
        if not self._stores.cache.keep_views:
            rows = rows.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)  # (V, K) -> (1, K)
        store.write(index, rows)


def finished(cache: ViewCache, streams: Sequence[Stream], indexes: Indexes, crop: int) -> float:
    """How many images' worth of work of these streams, one network's, the cache already holds."""
    done = 0.0
    with _Stores(cache, streams) as stores:
        for stream, share in shares(streams, crop).items():
            done += share * int(np.count_nonzero(stores.open[stream].states(indexes) != PENDING))
    return done


def bad_images(cache: ViewCache, streams: Sequence[Stream], indexes: Indexes) -> npt.NDArray[np.bool_]:
    """Which of the images could not be decoded: (n,)."""
    with _Stores(cache, streams) as stores:
        states = [store.states(indexes) for store in stores.open.values()]
    bad: npt.NDArray[np.bool_] = (np.stack(states) == BAD).any(axis=0)
    return bad

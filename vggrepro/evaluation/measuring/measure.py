"""Filling a view cache with what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Ints, Singles
from vggrepro.data.sources.base import Source
from vggrepro.evaluation.measuring.network import Network, Scorer
from vggrepro.evaluation.measuring.pipeline import Answer, Odd, Pipeline, Running, Task
from vggrepro.evaluation.measuring.view_batches import windows
from vggrepro.evaluation.measuring.view_cache import BAD, PENDING, StreamCache, ViewCache
from vggrepro.evaluation.protocols import Stream, log_mean, log_posteriors
from vggrepro.system.ranks import Ranks

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
        mine = windows(task.indexes, running.window)[ranks.rank :: ranks.size]
        todo = [window for window in mine if stores.lacks(window)]
        if not todo:
            return
        dense = any(stream.views == "dense" for stream in streams)
        scorer = Scorer(network, running.device, convolutional=dense, threads=running.threads)

        def score(stream: Stream, blob: Singles) -> Singles:
            return log_posteriors(scorer(blob), stream.average)

        keep = _Keep(stores, task.source, shares(streams, network.crop), advance)
        pipeline = Pipeline(task, tuple(streams), network.crop, network.mean, running)
        for found in pipeline.answers(todo, score, stores.pending):
            if isinstance(found, Odd):
                keep.odd(found)
            else:
                keep.answer(found)


def shares(streams: Sequence[Stream], crop: int) -> dict[Stream, float]:
    """Each stream's part of the work on one image, by pixels: for progress and time left."""
    pixels = {s: float(s.count * (s.scale if s.views == "dense" else crop) ** 2) for s in streams}
    return {stream: count / sum(pixels.values()) for stream, count in pixels.items()}


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

    def pending(self, stream: Stream, indexes: Ints) -> npt.NDArray[np.bool_]:
        wanted: npt.NDArray[np.bool_] = self.open[stream].states(indexes) == PENDING
        return wanted

    def lacks(self, indexes: Ints) -> bool:
        return any(self.pending(stream, indexes).any() for stream in self.streams)


@dataclass(frozen=True)
class _Keep:
    """Writes to the stores what comes out of the pipeline."""

    stores: _Stores
    source: Source
    shares: dict[Stream, float]
    advance: Advance

    def answer(self, answer: Answer) -> None:
        rows = answer.rows
        if not self.stores.cache.keep_views:
            rows = log_mean(rows, axis=0)[None].astype(np.float32)  # (V, K) -> (1, K)
        if self.stores.pending(answer.stream, np.asarray([answer.index]))[0]:
            self.advance(self.shares[answer.stream])
        self.stores.open[answer.stream].write(answer.index, rows)

    def odd(self, odd: Odd) -> None:
        self.stores.cache.note(odd.index, self.source.key(odd.index), odd.kind, odd.reason)
        if odd.kind == "bad":
            for stream, store in self.stores.open.items():
                store.write_bad(odd.index)
                self.advance(self.shares[stream])


def finished(cache: ViewCache, streams: Sequence[Stream], indexes: Ints, crop: int) -> float:
    """How many images' worth of work of these streams, one network's, the cache already holds."""
    with _Stores(cache, streams) as stores:
        return sum(
            share * int(np.count_nonzero(~stores.pending(stream, indexes)))
            for stream, share in shares(streams, crop).items()
        )


def missing_bytes(cache: ViewCache, streams: Sequence[Stream], indexes: Ints) -> int:
    """What the rows of pending images will take on the disk."""
    with _Stores(cache, streams) as stores:
        return sum(
            int(np.count_nonzero(stores.pending(stream, indexes))) * store.row_bytes
            for stream, store in stores.open.items()
        )


def bad_images(cache: ViewCache, streams: Sequence[Stream], indexes: Ints) -> npt.NDArray[np.bool_]:
    """Which of the images could not be decoded: (n,)."""
    with _Stores(cache, streams) as stores:
        states = [store.states(indexes) for store in stores.open.values()]
    bad: npt.NDArray[np.bool_] = (np.stack(states) == BAD).any(axis=0)
    return bad

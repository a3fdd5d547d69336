"""Images in, one answer per image and stream out: decoding, batching and the device kept busy together.

Images go through in windows. A window is decoded by threads while the one before it is on the device; its
views are batched across images by size, and made into blobs a few batches ahead. Nothing held here grows
with the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Ints, Singles
from vggrepro.data.decode import ENDS_EARLY, Pixels
from vggrepro.data.preprocess import to_blob
from vggrepro.data.reading import OnBadImage
from vggrepro.data.sources.base import Source
from vggrepro.errors import DataError
from vggrepro.evaluation.measuring.view_batches import Batch, plan, windows
from vggrepro.evaluation.measuring.views import Reading, Rescaled, load
from vggrepro.evaluation.protocols import Stream
from vggrepro.system.threads import ordered_map

_BLOBS_AHEAD = 3


@dataclass(frozen=True, eq=False)
class Task:
    """Which images to look at, and how they are read. ``indexes`` are places in ``source``."""

    source: Source
    indexes: Ints
    reading: Reading = field(default_factory=Reading)
    on_bad: OnBadImage = "error"

    @classmethod
    def whole(cls, source: Source, reading: Reading | None = None, on_bad: OnBadImage = "error") -> Task:
        """All images of a source."""
        return cls(source, np.arange(len(source)), reading or Reading(), on_bad)


@dataclass(frozen=True)
class Running:
    """How to run; none of it changes a result. ``batch`` counts views of the network's own input size: larger
    views go in smaller batches, of the same number of pixels. ``window`` counts images."""

    device: str = "cpu"
    threads: int = 0
    batch: int = 8
    window: int = 128
    workers: int = 2


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network says about all views of one image in one stream: ``rows`` (V, D)."""

    stream: Stream
    index: int
    rows: Singles


@dataclass(frozen=True)
class Odd:
    """An image that is "bad" (it cannot be decoded: it gets no answers) or "truncated" (it gets them)."""

    index: int
    kind: Literal["bad", "truncated"]
    reason: str


Score = Callable[[Stream, Singles], Singles]
"""A blob of views (n, 3, h, w) to one row each (n, D)."""

Wanted = Callable[[Stream, Ints], npt.NDArray[np.bool_]]
"""Which images of a window still need an answer in a stream."""


def every(_stream: Stream, indexes: Ints) -> npt.NDArray[np.bool_]:
    """A ``Wanted`` that wants everything."""
    return np.ones(len(indexes), np.bool_)


@dataclass(frozen=True, eq=False)
class _Work:
    """One batch of a window: the pictures of its views, (h, w, 3) each."""

    stream: Stream
    batch: Batch
    pictures: list[Pixels]
    window: Ints


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A batch as the network takes it: (n, 3, h, w)."""

    work: _Work
    blob: Singles


@dataclass(frozen=True)
class Pipeline:
    """Which views of which images, for a network with ``crop`` pixels input and a ``mean`` pixel (BGR)."""

    task: Task
    streams: tuple[Stream, ...]
    crop: int
    mean: Sequence[float]
    running: Running

    def all_answers(self, score: Score) -> Iterator[Answer | Odd]:
        """Answers for all images of the task."""
        return self.answers(windows(self.task.indexes, self.running.window), score)

    def answers(
        self, windows: Sequence[Ints], score: Score, wanted: Wanted = every
    ) -> Iterator[Answer | Odd]:
        """Answers for the images of ``windows`` (places in the source), window by window, stream by stream.

        A batch goes to ``score`` if one of its images is wanted, so images that are not may get answers too.
        Raises DataError for an image that cannot be decoded, unless the task says to skip such images.
        """
        gather = _Gather()
        works = self._works(windows, wanted)
        for item in ordered_map(self._prepared, works, threads=1, ahead=_BLOBS_AHEAD):
            if isinstance(item, Odd):
                yield item
            else:
                yield from gather.add(item.work, score(item.work.stream, item.blob))

    def _prepared(self, item: _Work | Odd) -> _Prepared | Odd:
        if isinstance(item, Odd):
            return item
        return _Prepared(item, to_blob(np.stack(item.pictures), self.mean))

    def _works(self, windows: Sequence[Ints], wanted: Wanted) -> Iterator[_Work | Odd]:
        indexes = (int(index) for window in windows for index in window)
        loaded = ordered_map(self._load, indexes, threads=self.running.workers, ahead=self.running.window)
        for window in windows:
            images: dict[int, Rescaled] = {}
            for position, (index, image) in enumerate(zip(window, islice(loaded, len(window)), strict=True)):
                if isinstance(image, DataError):
                    yield Odd(int(index), "bad", str(image))
                    continue
                images[position] = image
                if image.truncated:
                    place = self.task.source.place(int(index))
                    yield Odd(int(index), "truncated", f"{place}: {ENDS_EARLY}")
            for stream in self.streams:
                yield from self._batches(stream, window, images, wanted(stream, window))

    def _load(self, index: int) -> Rescaled | DataError:
        try:
            return load(self.task.source, index, sorted({s.scale for s in self.streams}), self.task.reading)
        except DataError as error:
            if self.task.on_bad == "error":
                raise
            return error

    def _batches(
        self, stream: Stream, window: Ints, images: Mapping[int, Rescaled], wanted: npt.NDArray[np.bool_]
    ) -> Iterator[_Work]:
        sizes = [images[p].size(stream, self.crop) if p in images else None for p in range(len(window))]
        for batch in plan(sizes, stream.count, self.running.batch * self.crop**2):
            if any(wanted[position] for position in batch.positions):
                pictures = [images[v.position].view(stream, v.number, self.crop) for v in batch.views]
                yield _Work(stream, batch, pictures, window)


class _Gather:
    """Puts the rows of batches together by image. An image whose views are split over batches of which only
    some are scored stays incomplete, and is forgotten when its window and stream are over."""

    def __init__(self) -> None:
        self._partial: dict[int, dict[int, Singles]] = {}
        self._current: tuple[Stream, int] | None = None

    def add(self, work: _Work, rows: Singles) -> Iterator[Answer]:
        current = (work.stream, int(work.window[0]))
        if current != self._current:
            self._current, self._partial = current, {}
        for view, row in zip(work.batch.views, rows, strict=True):
            index = int(work.window[view.position])
            views = self._partial.setdefault(index, {})
            views[view.number] = row
            if len(views) == work.stream.count:
                del self._partial[index]
                yield Answer(work.stream, index, np.stack([views[n] for n in range(len(views))]))  # (V, D)

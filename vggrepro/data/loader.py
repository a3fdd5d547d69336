"""The training loader: shuffled, augmented batches of uint8 crops, decoded ahead in threads.

What an iteration gets is a function of (seed, iteration) alone. The images of all epochs, each
shuffled anew, form one endless row; iteration t takes places t * batch to (t + 1) * batch of it, and
of these each rank takes its share. An image's draws come from the stream (seed, epoch, image).
So threads, ranks and restarts change nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from vggrepro.data.array_pool import Buffers
from vggrepro.data.arrays import Ints
from vggrepro.data.augment import Augmentation, AugmentationDraw
from vggrepro.data.decode import Pixels
from vggrepro.data.random_streams import Purpose, epoch_order, passing_stream
from vggrepro.data.reading import Reader
from vggrepro.errors import DataError
from vggrepro.system.threads import default_threads

_Failure = tuple[int, Exception]
"""A row of a batch that could not be filled, and why."""


@dataclass(frozen=True)
class Batch:
    """One rank's share of an iteration, n images."""

    iteration: int
    images: Pixels
    """uint8 (n, crop, crop, 3), B, G, R."""
    shifts: npt.NDArray[np.float32]
    """(n, 3): what to add to each pixel of each image: colour shift minus mean."""
    labels: Ints
    """int64 (n,)."""
    indices: npt.NDArray[np.int64]
    """(n,): the images' places in the source."""


class TrainingLoader:
    """Batches for training, from a labelled source.

    ``batch`` is the global batch, of which each of ``ranks`` gets an equal part. ``ahead`` batches
    are prepared while one is in use. To be iterated by one thread at a time. Raises DataError where the
    numbers do not fit.
    """

    def __init__(
        self,
        reader: Reader,
        augmentation: Augmentation,
        *,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        threads: int | None = None,
        ahead: int = 2,
    ) -> None:
        if batch < 1 or batch % ranks:
            raise DataError(f"a batch of {batch} images does not divide among {ranks} ranks")
        if not 0 <= rank < ranks:
            raise DataError(f"rank {rank}, but there are {ranks} ranks")
        self.waited = 0.0
        """Seconds that ``batches`` kept its caller waiting for data."""
        self._reader = reader
        self._augmentation = augmentation
        self._batch = batch
        self._seed = seed
        self._rank, self._ranks = rank, ranks
        self._threads = max(default_threads() if threads is None else threads, 1)
        self._ahead = max(ahead, 1)
        self._buffers = Buffers((batch // ranks, augmentation.crop, augmentation.crop, 3))

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Yield the batches of iterations ``start``, ``start + 1``, ... up to ``stop`` (None: no end)."""
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="loader")
        pending: deque[tuple[Batch, list[Future[_Failure | None]]]] = deque()
        coming = start
        try:
            while True:
                while len(pending) <= self._ahead and (stop is None or coming < stop):
                    pending.append(self._begin(pool, coming, self._buffers.take()))
                    coming += 1
                if not pending:
                    return
                batch, tasks = pending.popleft()
                asked = time.perf_counter()
                failures = [failure for task in tasks if (failure := task.result()) is not None]
                if failures:
                    raise min(failures, key=itemgetter(0))[1]
                self.waited += time.perf_counter() - asked
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def place(self, index: int) -> str:
        """Where an image of the source is, for messages."""
        return self._reader.source.place(index)

    def places(self, iteration: int) -> list[tuple[int, int]]:
        """(epoch, image) of each example that this rank takes in an iteration."""
        size = len(self._reader.source)
        share = self._batch // self._ranks
        first = iteration * self._batch + self._rank * share
        places = (divmod(place, size) for place in range(first, first + share))
        return [(epoch, int(epoch_order(self._seed, epoch, size)[index])) for epoch, index in places]

    def _begin(
        self, pool: ThreadPoolExecutor, iteration: int, images: Pixels
    ) -> tuple[Batch, list[Future[_Failure | None]]]:
        places = self.places(iteration)
        batch = Batch(
            iteration,
            images=images,
            shifts=np.empty((len(places), 3), np.float32),
            labels=np.empty(len(places), np.int64),
            indices=np.empty(len(places), np.int64),
        )
        # Draws are made here for all images in a row: between two decodings, whose data push Python out of
        # the processor's caches, they would take several times as long.
        rows = deque(
            (row, image, self._augmentation.draw(passing_stream(self._seed, Purpose.IMAGE, epoch, image)))
            for row, (epoch, image) in enumerate(places)
        )
        return batch, [pool.submit(self._fill_rows, batch, rows) for _ in range(self._threads)]

    def _fill_rows(self, batch: Batch, rows: deque[tuple[int, int, AugmentationDraw]]) -> _Failure | None:
        """Fill rows of a batch until no thread has any left to begin; the row that could not be filled, which
        is the last one to be begun, and why."""
        while True:
            try:
                row, image, drawn = rows.popleft()
            except IndexError:
                return None
            try:
                self._fill(batch, row, image, drawn)
            except Exception as error:
                rows.clear()
                return row, error

    def _fill(self, batch: Batch, row: int, image: int, drawn: AugmentationDraw) -> None:
        def crop(pixels: Pixels) -> None:
            self._augmentation.cropped(pixels, drawn, out=batch.images[row])

        index = self._readable(image, crop)
        label = self._reader.source.label(index)
        if label is None:
            raise DataError(f"{self._reader.source.place(index)}: the image has no label")
        batch.shifts[row], batch.labels[row], batch.indices[row] = drawn.shift, label, index

    def _readable(self, image: int, take: Callable[[Pixels], None]) -> int:
        """The image, or where it is to be skipped the next readable one, so that batches stay full, after
        ``take`` was given its pixels."""
        size = len(self._reader.source)
        for index in chain(range(image, size), range(image)):
            if self._reader.prepared(index, take) is not None:
                return index
        raise DataError(f"{self._reader.source.name}: none of the {size} images can be read")

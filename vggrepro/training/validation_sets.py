"""Validation sets: what a net is tested on while it trains, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import Protocol

import numpy as np

from vggrepro.data.choices import Kernel
from vggrepro.data.decode import Pixels
from vggrepro.data.preprocess import centre_offset, rescaled_crop
from vggrepro.data.reading import Reader
from vggrepro.data.sources import Source
from vggrepro.errors import DataError
from vggrepro.system.ranks import Ranks
from vggrepro.training.feeds import Feeds
from vggrepro.training.training_data import CropsToBlob, ImageInputs, LayerTrainingData


@dataclass(frozen=True)
class ValidationBatch:
    """One batch of a test: its number, how many samples it holds, what the net is fed, and where a row of
    it comes from, for messages."""

    number: int
    samples: int
    feeds: Feeds
    place: Callable[[int], str]


class ValidationSet(Protocol):
    """What a net is tested on, in batches. ``count`` is how many there are on all ranks together."""

    @property
    def count(self) -> int: ...

    def batches(self, ranks: Ranks) -> Iterator[ValidationBatch]:
        """The batches of one rank: every ``ranks.size``-th."""


@dataclass(frozen=True)
class ImageValidationSet:
    """Every image of a validation set once: rescaled to a smaller side of ``smallest``, centre crop.

    The last batch is smaller where the net allows it; otherwise the number of images must be a multiple of
    the batch.
    """

    reader: Reader
    inputs: ImageInputs
    to_blob: CropsToBlob
    mean_bgr: tuple[float, float, float]
    smallest: int
    kernel: Kernel = "linear"
    threads: int | None = None

    @property
    def count(self) -> int:
        return -(-len(self.reader.source) // self.inputs.batch)

    def batches(self, ranks: Ranks) -> Iterator[ValidationBatch]:
        batch, source = self.inputs.batch, self.reader.source
        mine = (i for i in range(len(source)) if i // batch % ranks.size == ranks.rank)
        crops = self.reader.each(mine, self._crop, threads=self.threads, ahead=2 * batch)
        for number, group in groupby(crops, key=lambda item: item[0] // batch):
            indices, images = zip(*group, strict=True)
            shifts = np.tile(-np.array(self.mean_bgr, np.float32), (len(images), 1))
            labels = np.array([self._label(index) for index in indices], np.int64)
            blob = self.to_blob(np.stack(images), shifts)
            feeds = self.inputs.feeds(blob, labels)
            yield ValidationBatch(number, len(images), feeds, partial(_place, source, indices))

    def _crop(self, pixels: Pixels) -> Pixels:
        side = self.inputs.side
        centre = partial(centre_offset, crop=side)
        return rescaled_crop(pixels, self.smallest, side, centre, self.kernel)

    def _label(self, index: int) -> int:
        label = self.reader.source.label(index)
        if label is None:
            name = self.reader.source.key(index)
            raise DataError(f"{self.reader.source.name}: {name}: the image has no label")
        return label


def _place(source: Source, indices: Sequence[int], row: int) -> str:
    return source.place(indices[row])


@dataclass(frozen=True)
class LayerValidationSet:
    """``test_iter`` batches of the net's own data layers.

    DEVIATION: each test begins with the first batch; Caffe goes on where the last test ended, so that two
    tests differ unless test_iter batches are the whole set.
    """

    data: LayerTrainingData
    count: int

    def batches(self, ranks: Ranks) -> Iterator[ValidationBatch]:
        # LayerTrainingData divides every batch among the ranks; for tests it is made for one.
        for number, feeds in enumerate(islice(self.data.passes(0), self.count)):
            if number % ranks.size == ranks.rank:
                samples = next((value.shape[0] for value in feeds.values()), 1)
                yield ValidationBatch(number, samples, feeds, partial(self.data.place, number))

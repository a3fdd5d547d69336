"""From images to one answer per image and stream, with decoding and the network at work at the same time.

Images are taken in windows. Threads decode a window while the network runs on the one before it; the views of
a window are batched across its images by size, and a thread makes blobs of them a few batches ahead of the
network. Memory does not grow with the number of images.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Ints, Singles
from vggrepro.data.choices import OnBadImage
from vggrepro.data.decode import ENDS_EARLY
from vggrepro.data.mean_image import MeanImage
from vggrepro.data.preprocess import to_blob
from vggrepro.data.sources.base import Source
from vggrepro.data.squashed import squashed_notice
from vggrepro.emit import Precision
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.measuring.rescaled_image import (
    AnyPixels,
    ImageReading,
    RescaledImage,
    cut_view,
    read_in_ways,
)
from vggrepro.evaluation.measuring.view_batches import (
    ViewBatch,
    batch_length,
    batches_by_size,
    sharing_sizes,
    sharing_views,
    usual_length,
    windows,
)
from vggrepro.evaluation.protocols import ReadingChanges, Stream
from vggrepro.runtime.device import parse_device
from vggrepro.runtime.pinned import PinnedArrays
from vggrepro.system.threads import ordered_map

_BLOBS_AHEAD = 3


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images to look at, by their places ``indexes`` (n,) in ``source``, and how they are read.
    ``on_bad`` says what an image that cannot be decoded does: "error" ends the run, "skip" leaves it out."""

    source: Source
    indexes: Ints
    reading: ImageReading = field(default_factory=ImageReading)
    on_bad: OnBadImage = "error"

    @classmethod
    def whole(
        cls, source: Source, reading: ImageReading | None = None, on_bad: OnBadImage = "error"
    ) -> ImageSet:
        """All images of a source."""
        return cls(source, np.arange(len(source)), reading or ImageReading(), on_bad)

    @property
    def squashed_notice(self) -> str | None:
        """What to tell of images that were squashed to squares; None where ``--resize warp`` asks for it."""
        return squashed_notice(self.source) if self.reading.resize == "keep-aspect" else None


@dataclass(frozen=True)
class Execution:
    """How an evaluation is executed; none of it but ``precision`` changes a result.

    ``threads`` are the network's CPU threads (0: all cores). ``batch`` is the number of views at a time, for
    views of the network's input size; larger views go in batches of as many pixels. ``window`` is the number
    of images that are batched together, ``workers`` the number of threads that decode.
    """

    device: str = "cpu"
    threads: int = 0
    batch: int = 8
    window: int = 128
    workers: int = 2
    precision: Precision = "fp32"

    def facts(self) -> dict[str, Any]:
        """What results depend on, ready for JSON: nothing with fp32, so that caches from before there was a
        choice stay valid."""
        return {} if self.precision == "fp32" else {"precision": self.precision}

    @property
    def fills_batches(self) -> bool:
        """Whether the last batch of a size is filled up, so that all have one length: on a GPU, which plans
        its convolutions anew for each length."""
        return self.device != "cpu"


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network gives for the views of one image in one stream: ``rows`` (V, D), a row for each view."""

    stream: Stream
    index: int
    rows: Singles


Kind = Literal["bad", "truncated"]
"""What is wrong with an image."""


@dataclass(frozen=True)
class ImageProblem:
    """An image that cannot be decoded ("bad": it gets no answers), or whose file ends early ("truncated": it
    gets answers, grey where pixels are missing), and the ``reason`` in words."""

    index: int
    kind: Kind
    reason: str


Score = Callable[[Stream, Any], Singles]
"""What the network gives for views of one stream: a row for each, (n, D). The views are a blob (n, C, h, w),
float32 and less the mean, or, on a GPU that can make one of them, their bytes (n, h, w, C). Streams that
share views ask for them one after the other."""

Wanted = Callable[[Stream, Ints], npt.NDArray[np.bool_]]
"""Which of a window's images (n,) need an answer in a stream: (n,)."""


def every(_stream: Stream, indexes: Ints) -> npt.NDArray[np.bool_]:
    """All images need an answer."""
    return np.ones(len(indexes), np.bool_)


@dataclass(frozen=True, eq=False)
class _Work:
    """One batch of a window: ``pictures`` are its views' pixels, (h, w, C) each, which are the same for
    all ``streams``; the last one is repeated until the network gets ``length`` views."""

    streams: tuple[Stream, ...]
    batch: ViewBatch
    pictures: list[AnyPixels]
    window: Ints
    length: int


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A batch as the network takes it: a blob (n, C, h, w), or bytes (n, h, w, C)."""

    work: _Work
    blob: Singles | AnyPixels


@dataclass(frozen=True)
class Pipeline:
    """The views that ``streams`` ask for of ``images``, for a network whose input has ``crop`` x ``crop``
    pixels of ``channels``, 3 or 1. ``mean`` is subtracted: a pixel (blue, green, red, or grey, 0-255), or an
    image as large as the rescaled ones, which is cropped and mirrored with them."""

    images: ImageSet
    streams: tuple[Stream, ...]
    crop: int
    mean: Sequence[float] | MeanImage
    execution: Execution
    channels: int = 3

    def all_answers(self, score: Score) -> Iterator[Answer | ImageProblem]:
        """Answers for all of the images."""
        return self.answers(windows(self.images.indexes, self.execution.window), score)

    def answers(
        self, windows: Sequence[Ints], score: Score, wanted: Wanted = every
    ) -> Iterator[Answer | ImageProblem]:
        """Answers for the images of ``windows`` (places in the source), window by window, stream by stream.

        A batch goes to ``score`` if one of its images is ``wanted``; the others in it are answered too.
        Raises DataError for an image that cannot be decoded, unless ``images`` says to skip such images.
        """
        gather = _Gather()
        works = self._works(windows, wanted)
        # One is scored, one is filled, the others wait between.
        arrays = PinnedArrays(parse_device(self.execution.device), _BLOBS_AHEAD + 2)
        prepared = partial(self._prepared, arrays)
        with closing(arrays):
            for item in ordered_map(prepared, works, threads=1, ahead=_BLOBS_AHEAD):
                if isinstance(item, ImageProblem):
                    yield item
                    continue
                for stream in item.work.streams:
                    rows = score(stream, item.blob)[: len(item.work.batch.views)]
                    yield from gather.add(item.work, stream, rows)

    @property
    def _sends_bytes(self) -> bool:
        """Whether views go to the device as they are: it can subtract a mean pixel."""
        usual = self.images.reading.scale == 1 and self.images.reading.channel_order == "bgr"
        return self.execution.device != "cpu" and usual and not isinstance(self.mean, MeanImage)

    def _prepared(self, arrays: PinnedArrays, item: _Work | ImageProblem) -> _Prepared | ImageProblem:
        if isinstance(item, ImageProblem):
            return item
        if self._sends_bytes and item.pictures[0].dtype == np.uint8:
            views = [*item.pictures, *item.pictures[-1:] * (item.length - len(item.pictures))]
            return _Prepared(item, np.stack(views, out=arrays.next((len(views), *views[0].shape))))
        mean = self._mean_views(item) if isinstance(self.mean, MeanImage) else self.mean
        reading = self.images.reading
        blob = to_blob(np.stack(item.pictures), mean, reading.scale, reading.channel_order)
        missing = item.length - len(blob)
        return _Prepared(item, np.concatenate([blob, *[blob[-1:]] * missing]) if missing else blob)

    def _mean_views(self, work: _Work) -> Singles:
        """The mean image's views that go with a batch's pictures: (n, h, w, C)."""
        assert isinstance(self.mean, MeanImage)
        stream = work.streams[0]
        pixels, centre = self.mean.pixels, self.images.reading.changed(stream.changes).centre
        views = [cut_view(pixels, stream, v.number, self.crop, centre) for v in work.batch.views]
        return np.stack(views)

    def _check_mean(self, image: RescaledImage, index: int) -> None:
        """Raise ProtocolError unless a mean image is as large as an image at every scale."""
        if not isinstance(self.mean, MeanImage):
            return
        height, width, _ = self.mean.pixels.shape
        for pixels in image.pixels.values():
            found = pixels.shape[:2]
            if found != (height, width):
                raise ProtocolError(
                    f"{self.mean.source}: a mean image of {height} x {width}, but"
                    f" {self.images.source.place(index)} is rescaled to {found[0]} x {found[1]};"
                    " expected --resize warp with --scales of that size, or --mean-as pixel"
                )

    def _works(self, windows: Sequence[Ints], wanted: Wanted) -> Iterator[_Work | ImageProblem]:
        indexes = (int(index) for window in windows for index in window)
        loaded = ordered_map(self._load, indexes, threads=self.execution.workers, ahead=self.execution.window)
        for window in windows:
            decoded: dict[int, _Ways] = {}
            for position, (index, image) in enumerate(zip(window, islice(loaded, len(window)), strict=True)):
                if isinstance(image, DataError):
                    yield ImageProblem(int(index), "bad", str(image))
                    continue
                decoded[position] = image
                if any(way.truncated for way in image.values()):
                    place = self.images.source.place(int(index))
                    yield ImageProblem(int(index), "truncated", f"{place}: {ENDS_EARLY}")
            for alike in sharing_sizes(sharing_views(self.streams)):
                pending = [np.any([wanted(s, window) for s in streams], axis=0) for streams in alike]
                pairs = zip(alike, pending, strict=True)
                batches = [self._batches(streams, window, decoded, some) for streams, some in pairs]
                yield from heapq.merge(*batches, key=lambda work: work.batch.size)

    def _load(self, index: int) -> _Ways | DataError:
        scales: dict[ReadingChanges, set[int]] = {}
        for stream in self.streams:
            scales.setdefault(stream.changes, set()).add(stream.scale)
        try:
            grey = self.channels == 1
            image = read_in_ways(self.images.source, index, scales, self.images.reading, grey=grey)
        except DataError as error:
            if self.images.on_bad == "error":
                raise
            return error
        for way in image.values():
            self._check_mean(way, index)
        return image

    def _batches(
        self,
        streams: tuple[Stream, ...],
        window: Ints,
        decoded: Mapping[int, _Ways],
        wanted: npt.NDArray[np.bool_],
    ) -> Iterator[_Work]:
        stream = streams[0]
        shown = {position: ways[stream.changes] for position, ways in decoded.items()}
        sizes = [shown[p].size(stream, self.crop) if p in shown else None for p in range(len(window))]
        pixels, fills = self.execution.batch * self.crop**2, self.execution.fills_batches
        longest = usual_length(sizes, stream.view_count) if fills else None
        for batch in batches_by_size(sizes, stream.view_count, pixels, longest):
            if any(wanted[position] for position in batch.positions):
                pictures = [shown[v.position].view(stream, v.number, self.crop) for v in batch.views]
                length = batch_length(batch.size, pixels, longest) if fills else len(pictures)
                yield _Work(streams, batch, pictures, window, length)


_Ways = Mapping[ReadingChanges, RescaledImage]
"""One image, read in each way that a stream asks for."""


class _Gather:
    """Puts the rows of batches together by image. Where not all batches with an image's views are scored, its
    rows stay incomplete; they are dropped when the next window begins."""

    def __init__(self) -> None:
        self._partial: dict[tuple[Stream, int], dict[int, Singles]] = {}
        self._window: int | None = None

    def add(self, work: _Work, stream: Stream, rows: Singles) -> Iterator[Answer]:
        if work.window[0] != self._window:
            self._window, self._partial = int(work.window[0]), {}
        for view, row in zip(work.batch.views, rows, strict=True):
            index = int(work.window[view.position])
            views = self._partial.setdefault((stream, index), {})
            views[view.number] = row
            if len(views) == stream.view_count:
                del self._partial[stream, index]
                yield Answer(stream, index, np.stack([views[n] for n in range(len(views))]))  # (V, D)

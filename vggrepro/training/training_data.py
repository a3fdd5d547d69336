"""Training data as a net takes it: the paper's augmented crops, or what the net's own data layers read."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import MAX_PIXELS
from vggrepro.data.feeds import READ_TYPES, Feed, folder_of, is_read, open_feed
from vggrepro.data.label_check import check_labels
from vggrepro.data.loader import Batch, TrainingLoader
from vggrepro.emit import Shape
from vggrepro.errors import DataError, some_of
from vggrepro.layers.dummy_data import DummyData
from vggrepro.net import Net
from vggrepro.net.kinds import class_of, is_fork_data, is_known
from vggrepro.net.requirements import picture_and_label_inputs
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceView
from vggrepro.runtime.upload import ArraysToDevice
from vggrepro.runtime.upload import CropsToBlob as CropsToBlob
from vggrepro.system.ranks import Ranks
from vggrepro.system.threads import ordered_map
from vggrepro.training.drawn_feed import DrawnFeed
from vggrepro.training.feeds import Feeds

T = TypeVar("T")

_AHEAD = 2
"""One pass's inputs are in use, and those of the next are made ready."""


class TrainingData(Protocol):
    """Values of the net's inputs for one pass after another. ``waited`` counts the seconds that the caller
    had to wait for them."""

    @property
    def waited(self) -> float: ...

    def passes(self, start: int) -> Generator[Feeds, None, None]:
        """The inputs of pass ``start``, ``start + 1``, and so on without end. An iteration takes iter_size
        passes."""

    def last_place(self, row: int) -> str:
        """Where a row of the inputs that were yielded last comes from, for messages."""


class ImageInputs:
    """Which input of a net takes the pictures and which the labels.

    Raises NetError unless it has one input (N, 3, side, side) and one (N) or (N, 1, 1, 1).
    """

    def __init__(self, net: Net) -> None:
        self.data, self.label = picture_and_label_inputs(net)
        self.batch, _, self.side, _ = net.inputs[self.data]
        self._label_rank = len(net.inputs[self.label])
        readers = net.readers(self.label)
        self._classes = min((net.shapes[p.bottoms[0]][1] for p in readers), default=None)

    def feeds(self, pictures: DeviceView, labels: npt.NDArray[np.int64]) -> Feeds:
        """``pictures`` on the device and their ``labels``, as the net takes them. Raises DataError for a
        label that is no class of the net."""
        if self._classes is not None:
            check_labels(labels, self._classes, "training and validation images")
        shape = (len(labels), *[1] * (self._label_rank - 1))
        return {self.data: pictures, self.label: labels.astype(np.float32).reshape(shape)}


class _Waits:
    """Counts the ``seconds`` that somebody had to wait for items."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def of(self, items: Iterator[T]) -> Generator[T, None, None]:
        asked = time.perf_counter()
        for item in items:
            self.seconds += time.perf_counter() - asked
            yield item
            asked = time.perf_counter()


class ImageTrainingData:
    """The loader's crops, made a blob on the device. One batch of the loader is one pass of one rank. A
    double-buffered ``to_blob`` works in a thread of its own, while the pass before computes."""

    def __init__(self, loader: TrainingLoader, inputs: ImageInputs, to_blob: CropsToBlob) -> None:
        self._loader = loader
        self._inputs = inputs
        self._to_blob = to_blob
        self._indices = np.zeros(0, np.int64)
        self._waits = _Waits()

    @property
    def waited(self) -> float:
        return self._waits.seconds

    def passes(self, start: int) -> Generator[Feeds, None, None]:
        with closing(self._to_blob), closing(self._blobs(self._loader.batches(start))) as blobs:
            for batch, blob in blobs:
                self._indices = batch.indices
                yield self._inputs.feeds(blob, batch.labels)

    def _blobs(self, batches: Iterator[Batch]) -> Generator[tuple[Batch, DeviceView], None, None]:
        def next_blob(_: int) -> tuple[Batch, DeviceView]:
            return self._with_blob(next(batches))

        if self._to_blob.double_buffered:
            with closing(ordered_map(next_blob, count(), threads=1, ahead=_AHEAD)) as found:
                yield from self._waits.of(found)
        else:
            yield from map(self._with_blob, self._waits.of(batches))

    def _with_blob(self, batch: Batch) -> tuple[Batch, DeviceView]:
        return batch, self._to_blob(batch.images, batch.shifts)

    def last_place(self, row: int) -> str:
        return self._loader.place(int(self._indices[row]))


class LayerTrainingData:
    """What the data layers of a ``NetParameter`` read, as Caffe feeds them (without ``--data``), and what its
    DummyData layers draw.

    Each rank takes its part of the rows of every batch. ``max_pixels`` is the most that an image may have.
    Raises DataError for a net without such layers, and for a layer whose tops nothing here could feed.

    :meth:`bring_to` has a thread bring the coming pass's inputs to a device.
    """

    def __init__(
        self,
        message: Any,
        phase: int,
        seed: int,
        folder: Path,
        ranks: Ranks,
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        found = [layer for layer in message.layer if is_read(layer) or layer.type == DummyData.type]
        if not found:
            own = some_of(f"{layer.name!r} ({layer.type})" for layer in message.layer if is_fork_data(layer))
            fed = f"; {own} is fed by Solver.step alone" if own else ""
            raise DataError(f"net {message.name!r}: no layer reads data ({', '.join(READ_TYPES)}){fed}")
        self._feeds: list[Feed] = []
        for number, layer in enumerate(message.layer):
            if is_read(layer):
                self._feeds.append(
                    open_feed(
                        layer,
                        phase,
                        seed=seed,
                        folder=folder_of(layer, folder),
                        max_pixels=max_pixels,
                    )
                )
            elif not layer.bottom and is_known(layer) and class_of(layer).from_param(layer, phase).source:
                self._feeds.append(_drawn(layer, phase, seed, number))
        self._ranks = ranks
        self._given = 0
        self._waits = _Waits()
        self._to_device = ArraysToDevice(Device("cpu"))

    @property
    def waited(self) -> float:
        return self._waits.seconds

    def bring_to(self, device: Device, in_host: Collection[str]) -> None:
        """Let the passes give their inputs on ``device``, but those called ``in_host`` in the host's
        memory."""
        self._to_device = ArraysToDevice(device, in_host)

    def shapes(self) -> dict[str, Shape]:
        """The shapes of the inputs on one rank, from the first batch."""
        return {name: array.shape for name, array in self._batch(0).items()}

    def passes(self, start: int) -> Generator[Feeds, None, None]:
        found = ordered_map(self._brought, count(start), threads=1, ahead=_AHEAD)
        with closing(self._to_device), closing(found):
            for number, feeds in enumerate(self._waits.of(found), start):
                self._given = number
                yield feeds

    def _brought(self, number: int) -> Feeds:
        return self._to_device(self._batch(number))

    def last_place(self, row: int) -> str:
        return self.place(self._given, row)

    def place(self, number: int, row: int) -> str:
        """Where a row of this rank's part of batch ``number`` comes from: one place for each data layer."""
        share = max(len(array) for array in self._batch(number).values())
        return "; ".join(feed.place(number, self._ranks.rank * share + row) for feed in self._feeds)

    def _batch(self, number: int) -> Mapping[str, npt.NDArray[np.float32]]:
        whole = {name: array for feed in self._feeds for name, array in feed.batch(number).items()}
        return {name: self._part(name, array) for name, array in whole.items()}

    def _part(self, name: str, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        size, ranks = len(array), self._ranks.size
        if size % ranks:
            raise DataError(f"input {name!r}: a batch of {size} does not divide among {ranks} ranks")
        share = size // ranks
        return array[self._ranks.rank * share : (self._ranks.rank + 1) * share]


def _drawn(layer: Any, phase: int, seed: int, number: int) -> DrawnFeed:
    if layer.type != DummyData.type:
        raise DataError(f"layer {layer.name!r}: a {layer.type} layer, which nothing feeds here")
    return DrawnFeed(layer, phase, seed, number)

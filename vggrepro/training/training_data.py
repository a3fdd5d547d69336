"""Training data as a net takes it: the paper's augmented crops, or what the net's own data layers read."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vggrepro.data.feeds import READ_TYPES, Feed, folder_of, open_feed
from vggrepro.data.loader import TrainingLoader
from vggrepro.data.truth.labels import check_labels
from vggrepro.emit import Shape
from vggrepro.errors import DataError, some_of
from vggrepro.layers.dummy_data import DummyData
from vggrepro.net import Net
from vggrepro.net.kinds import class_of, is_fork_data, is_known
from vggrepro.net.requirements import picture_and_label_inputs
from vggrepro.runtime.device_array import DeviceView
from vggrepro.runtime.upload import CropsToBlob as CropsToBlob
from vggrepro.system.ranks import Ranks
from vggrepro.system.threads import ordered_map
from vggrepro.training.drawn_feed import DrawnFeed
from vggrepro.training.feeds import Feeds


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


class ImageTrainingData:
    """The loader's crops, made a blob on the device. One batch of the loader is one pass of one rank."""

    def __init__(self, loader: TrainingLoader, inputs: ImageInputs, to_blob: CropsToBlob) -> None:
        self._loader = loader
        self._inputs = inputs
        self._to_blob = to_blob
        self._indices = np.zeros(0, np.int64)

    @property
    def waited(self) -> float:
        return self._loader.waited

    def passes(self, start: int) -> Generator[Feeds, None, None]:
        for batch in self._loader.batches(start):
            self._indices = batch.indices
            yield self._inputs.feeds(self._to_blob(batch.images, batch.shifts), batch.labels)

    def last_place(self, row: int) -> str:
        return self._loader.place(int(self._indices[row]))


class LayerTrainingData:
    """What the data layers of a ``NetParameter`` read, as Caffe feeds them (without ``--data``), and what its
    DummyData layers draw.

    Each rank takes its part of the rows of every batch. Raises DataError for a net without such layers, and
    for a layer whose tops nothing here could feed.
    """

    def __init__(self, message: Any, phase: int, seed: int, folder: Path, ranks: Ranks) -> None:
        found = [layer for layer in message.layer if layer.type in (*READ_TYPES, DummyData.type)]
        if not found:
            own = some_of(f"{layer.name!r} ({layer.type})" for layer in message.layer if is_fork_data(layer))
            fed = f"; {own} is fed by Solver.step alone" if own else ""
            raise DataError(f"net {message.name!r}: no layer reads data ({', '.join(READ_TYPES)}){fed}")
        self._feeds: list[Feed] = []
        for number, layer in enumerate(message.layer):
            if layer.type in READ_TYPES:
                self._feeds.append(open_feed(layer, phase, seed=seed, folder=folder_of(layer, folder)))
            elif not layer.bottom and is_known(layer) and class_of(layer).from_param(layer, phase).source:
                self._feeds.append(_drawn(layer, phase, seed, number))
        self._ranks = ranks
        self._given = 0
        self.waited = 0.0

    def shapes(self) -> dict[str, Shape]:
        """The shapes of the inputs on one rank, from the first batch."""
        return {name: array.shape for name, array in self._batch(0).items()}

    def passes(self, start: int) -> Generator[Feeds, None, None]:
        batches = ordered_map(self._batch, count(start), threads=1, ahead=2)
        asked = time.perf_counter()
        for self._given, batch in enumerate(batches, start):
            self.waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()

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

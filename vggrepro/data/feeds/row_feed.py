"""HDF5Data and MemoryData: batches of rows of arrays, untransformed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vggrepro.caffe.hdf5_reader import Hdf5Reader, opened
from vggrepro.data.feeds.base import DataLayer, Feed, Float32, batch_size
from vggrepro.data.random_streams import epoch_order
from vggrepro.errors import DataError, ParseError, UnsupportedError, WeightsError

_MOST_COMPRESSED = 1100
"""How many times smaller data can be stored: deflate, HDF5's usual filter, packs 1032 to 1 at most."""
_ALWAYS_READ = 1 << 28
"""Bytes up to which a dataset is read whatever the file holds of it."""


@dataclass(frozen=True, eq=False)
class RowFeed(Feed):
    """Rows in turn, from one file on to the next and from the last to the first, also within a batch."""

    tops: tuple[str, ...]
    rows: tuple[int, ...]
    """Rows of each file."""
    load: Callable[[int], Sequence[Float32]]
    """The arrays of a file, one for each top, all with the same number of rows."""
    names: tuple[str, ...]
    """The files, for messages."""
    batch_size: int
    seed: int = 0
    shuffle: bool = False

    def batch(self, iteration: int) -> dict[str, Float32]:
        first, total = iteration * self.batch_size, sum(self.rows)
        picked: list[list[Float32]] = [[] for _ in self.tops]
        for place in range(first, first + self.batch_size):
            file, row = self._file_and_row(*divmod(place, total))
            for column, array in zip(picked, self.load(file), strict=True):
                column.append(array[row])
        return {top: np.stack(column) for top, column in zip(self.tops, picked, strict=True)}

    def place(self, iteration: int, row: int) -> str:
        file, found = self._file_and_row(*divmod(iteration * self.batch_size + row, sum(self.rows)))
        return f"{self.names[file]}: row {found}"

    def _file_and_row(self, epoch: int, place: int) -> tuple[int, int]:
        """Where the ``place``-th example of an epoch is. Caffe shuffles the files, and the rows within
        each file, and reads one file after the other."""
        files: Sequence[int] = range(len(self.rows))
        if self.shuffle:
            files = [int(file) for file in epoch_order(self.seed, epoch, len(self.rows))]
        for file in files:
            if place < self.rows[file]:
                break
            place -= self.rows[file]
        if self.shuffle:
            place = int(epoch_order(self.seed, epoch, self.rows[file], part=1 + file)[place])
        return file, place


def open_hdf5(layer: DataLayer) -> RowFeed:
    """The feed of an HDF5Data layer: the datasets named as its tops, in the files that a list names
    (extra ``hdf5``)."""
    if layer.param.HasField("transform_param"):
        raise DataError(f"{layer.where}: HDF5Data does not transform data.")
    data, tops = layer.param.hdf5_data_param, layer.tops
    listing = layer.folder / data.source
    try:
        listed = listing.read_text(encoding="utf-8", errors="surrogateescape").split()
    except OSError as error:
        raise DataError(f"{layer.where}: Failed to open source file: {listing}: {error.strerror}") from error
    paths = [layer.folder / name for name in listed]
    if not paths:
        raise DataError(f"{layer.where}: Must have at least 1 HDF5 filename listed in {listing}")
    rows = tuple(_hdf5_rows(path, tops) for path in paths)

    @lru_cache(maxsize=1)  # Caffe too holds one file at a time
    def load(file: int) -> tuple[Float32, ...]:
        with _hdf5(paths[file]) as reader:
            return tuple(reader.array(reader.dataset(top), f"{paths[file]}: dataset {top}") for top in tops)

    names = tuple(map(str, paths))
    return RowFeed(tops, rows, load, names, batch_size(data, layer.where), layer.seed, data.shuffle)


def memory_feed(param: Any, data: Float32, labels: Float32) -> RowFeed:
    """The feed of a MemoryData layer over ``data`` (n, C, H, W) and n ``labels``.

    Raises DataError unless the shapes are those of ``memory_data_param`` and n is a multiple of its
    batch_size.
    """
    where, memory = f"layer {param.name!r}", param.memory_data_param
    size, shape = memory.batch_size, (memory.channels, memory.height, memory.width)
    if min(size, *shape) < 1:
        raise DataError(
            f"{where}: batch_size, channels, height, and width must be specified and positive"
            " in memory_data_param"
        )
    if data.shape[1:] != shape or labels.size != len(data):
        raise DataError(
            f"{where}: data of {data.shape} and {labels.size} labels, expected (n, *{shape}) and n labels"
        )
    if len(data) == 0 or len(data) % size:
        raise DataError(f"{where}: n must be a multiple of batch size ({len(data)} vs. {size})")
    arrays = data.astype(np.float32), labels.astype(np.float32).reshape(len(data), 1, 1, 1)
    return RowFeed(tuple(param.top), (len(data),), lambda _: arrays, (where,), size)


def _hdf5_rows(path: Path, tops: tuple[str, ...]) -> int:
    """The number of rows that every dataset of a file has."""
    rows = {}
    with _hdf5(path) as reader:
        for top in tops:
            dataset = reader.dataset(top)
            if dataset.ndim < 1 or dataset.dtype.kind not in "fiu":
                raise DataError(
                    f"{path}: dataset {top} of {dataset.shape}, {dataset.dtype}:"
                    " expected numbers with at least one axis"
                )
            _check_stored(dataset, f"{path}: dataset {top}")
            rows[top] = dataset.shape[0]
    if len(set(rows.values())) > 1 or 0 in rows.values():
        raise DataError(f"{path}: the datasets need the same number of rows, got {rows}")
    return int(rows[tops[0]])


def _check_stored(dataset: Any, where: str) -> None:
    """Raise DataError for a large dataset of which the file holds next to nothing: reading it would make a
    few bytes fill the memory."""
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > max(_ALWAYS_READ, _MOST_COMPRESSED * stored):
        raise DataError(
            f"{where} of {dataset.shape} declares {dataset.nbytes:,} bytes, but {stored:,} are stored:"
            f" expected at most {_MOST_COMPRESSED} times as many"
        )


@contextmanager
def _hdf5(path: Path) -> Iterator[Hdf5Reader]:
    """An open file. Raises DataError for what cannot be read, and for what is not in the file itself."""
    try:
        with opened(path, space=_ALWAYS_READ, ratio=_MOST_COMPRESSED) as reader:
            yield reader
    except (ParseError, WeightsError, UnsupportedError) as error:
        if isinstance(error.__cause__ or error.__context__, OSError):
            raise DataError(f"{path}: Failed opening HDF5 file: {error}") from error
        raise DataError(str(error)) from error

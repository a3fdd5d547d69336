"""Reading HDF5 files from anywhere: nothing but the file itself is read, and no more than it can hold.

HDF5 lets a file point to others (links, external and virtual datasets), to itself, and to sizes that it does
not have. DEVIATION: all of that is refused by name, before memory is taken; Caffe follows it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.blob import MAX_COUNT
from vggrepro.errors import ParseError, UnsupportedError, WeightsError
from vggrepro.system.extras import extra

_FAILURES = (OSError, KeyError, ValueError, TypeError, RuntimeError)
"""What h5py raises for damaged files."""

SPACE = 16 << 20
RATIO = 32
"""A file's compressed arrays may take ``SPACE`` bytes of memory, and ``RATIO`` times the file's length."""

_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3


def import_h5py(path: str | PathLike[str]) -> Any:
    """The package h5py. Raises UnsupportedError where it is not installed."""
    return extra("h5py", "hdf5", f"{path}: an HDF5 file", UnsupportedError)


@contextmanager
def opened(path: str | PathLike[str], *, space: int = SPACE, ratio: int = RATIO) -> Iterator[Hdf5Reader]:
    """A file, open while the block runs. What h5py raises in the block becomes ParseError. ``space`` and
    ``ratio`` are the limits of compressed arrays."""
    h5py = import_h5py(path)
    try:
        with h5py.File(path, "r") as file:
            yield Hdf5Reader(str(path), file, h5py, Path(path).stat().st_size, space, ratio)
    except _FAILURES as error:
        words = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        raise ParseError(f"{path}: {' '.join(words.split())}") from None


@dataclass
class Hdf5Reader:
    """The objects of an open file, each of which is handed out once."""

    path: str
    root: Any
    h5py: Any
    length: int
    """Bytes of the file."""
    space: int = SPACE
    ratio: int = RATIO
    _plain: int = 0
    """Bytes of the arrays so far that are stored as they are."""
    _inflated: int = 0
    """Bytes that the other arrays take in memory."""
    _seen: set[tuple[int, int]] = field(default_factory=set)
    """The objects that were handed out."""
    _groups: dict[str, Any] = field(default_factory=dict)
    """Groups on the way to datasets that were asked for by their paths."""

    def __post_init__(self) -> None:
        self._seen.add(self._identity(self.root))

    def members(self, group: Any) -> dict[str, Any]:
        """The groups and datasets of a group, by name. Raises UnsupportedError for links and for what is not
        in the file, ParseError for an object that was handed out before."""
        return {name: self._member(group, name) for name in group}

    def group(self, name: str) -> Any:
        """A group of the root. Raises ParseError if there is none."""
        found = self._member(self.root, name) if name in self.root else None
        if not self.is_group(found):
            kinds = {"data": "weights", "history": "a solver state"}
            hint = "".join(f" (this is {kinds[key]})" for key in kinds if key != name and key in self.root)
            raise ParseError(f"{self.path}: has no group {name!r}, which Caffe's file would have{hint}")
        return found

    def dataset(self, name: str) -> Any:
        """The dataset at a path with slashes. Raises ParseError if there is none, and as :meth:`members`."""
        *folders, last = [part for part in name.split("/") if part]
        group, where = self.root, ""
        for folder in folders:
            where += f"/{folder}"
            if where not in self._groups:
                self._groups[where] = self._member(group, folder) if folder in group else None
            group = self._groups[where]
            if not self.is_group(group):
                break
        found = self._member(group, last) if self.is_group(group) and last in group else None
        if found is None or self.is_group(found):
            raise ParseError(f"{self.path}: Failed to find HDF5 dataset {name}")
        return found

    def value(self, name: str) -> Any:
        """The single value of a dataset of the root, a number or a text; None if there is none."""
        if name not in self.root:
            return None
        dataset = self._member(self.root, name)
        if self.is_group(dataset) or dataset.size != 1:
            raise ParseError(f"{self.path}: {name}: expected a single value")
        if dataset.id.get_type().get_size() > self.length:
            raise ParseError(f"{self.path}: {name}: larger than the file")
        value = dataset[()]
        return value.reshape(-1)[0] if isinstance(value, np.ndarray) else value

    def is_group(self, member: Any) -> bool:
        """Whether a member is a group."""
        return isinstance(member, self.h5py.Group)

    def array(self, dataset: Any, where: str) -> npt.NDArray[np.float32]:
        """A dataset's values as float32. Raises WeightsError, UnsupportedError or ParseError."""
        if dataset.dtype.kind not in "fiu":
            raise WeightsError(f"{where}: unsupported datatype {dataset.dtype}")
        if dataset.size is None or dataset.size > MAX_COUNT:
            raise WeightsError(f"{where}: shape {dataset.shape}: blob size exceeds INT_MAX")
        plan = dataset.id.get_create_plist()
        filters = [plan.get_filter(index)[0] for index in range(plan.get_nfilters())]
        if filters:
            self._check_filtered(dataset, filters, where)
        else:
            self._check_plain(dataset, where)
        return np.asarray(dataset[()]).astype(np.float32, copy=False)

    def _check_plain(self, dataset: Any, where: str) -> None:
        size = dataset.size * dataset.id.get_type().get_size()
        self._plain += size
        if dataset.id.get_storage_size() < size or self._plain > self.length:
            raise WeightsError(f"{where}: shape {dataset.shape}, but the file holds fewer values")

    def _check_filtered(self, dataset: Any, filters: list[int], where: str) -> None:
        elements = max(dataset.size, prod(dataset.chunks))
        self._inflated += elements * max(dataset.dtype.itemsize, 4)
        if self._inflated > self.space + self.ratio * self.length:
            raise WeightsError(
                f"{where}: shape {dataset.shape} is too large for a file of {self.length} bytes"
            )
        if _DEFLATE in filters and not set(filters) <= {_DEFLATE, _SHUFFLE, _CHECKSUM}:
            raise UnsupportedError(
                f"{where}: HDF5 filters {filters}; expected gzip, shuffle and checksum alone"
            )
        if filters.count(_DEFLATE) > 1:
            raise UnsupportedError(f"{where}: compressed by gzip more than once")
        if _DEFLATE in filters:
            _check_inflated(dataset, filters.index(_DEFLATE), where)

    def _member(self, group: Any, name: str) -> Any:
        where = f"{self.path}: {name!r}"
        link = group.get(name, getlink=True)
        if link is None:
            raise ParseError(f"{where}: a damaged HDF5 link")
        if not isinstance(link, self.h5py.HardLink):
            kind = "soft" if isinstance(link, self.h5py.SoftLink) else "external"
            raise UnsupportedError(f"{where}: HDF5 {kind} link to {link.path!r}; expected the data itself")
        member = group[name]
        if isinstance(member, self.h5py.Dataset):
            plan = member.id.get_create_plist()
            if plan.get_layout() == self.h5py.h5d.VIRTUAL:
                raise UnsupportedError(f"{where}: HDF5 virtual dataset; expected the data itself")
            if plan.get_external_count():
                raise UnsupportedError(f"{where}: HDF5 dataset in an external file; expected the data itself")
        elif not self.is_group(member):
            raise ParseError(f"{where}: neither a group nor an array")
        identity = self._identity(member)
        if identity in self._seen:
            raise ParseError(f"{where}: an HDF5 object that has another name as well; expected one for each")
        self._seen.add(identity)
        return member

    def _identity(self, member: Any) -> tuple[int, int]:
        info = self.h5py.h5o.get_info(member.id)
        return info.fileno, info.addr


def _check_inflated(dataset: Any, place: int, where: str) -> None:
    """Raise WeightsError for a chunk that inflates to more than its size, which HDF5 itself would let it.

    ``place`` is that of gzip among the dataset's filters. Raises ParseError for what is not compressed.
    """
    size = prod(dataset.chunks) * dataset.id.get_type().get_size() + 4  # a checksum may be inside
    for index in range(dataset.id.get_num_chunks()):
        mask, data = dataset.id.read_direct_chunk(dataset.id.get_chunk_info(index).chunk_offset)
        if mask >> place & 1:
            continue  # this chunk was written without gzip
        try:
            inflated = zlib.decompressobj().decompress(data, size + 1)
        except zlib.error as error:
            raise ParseError(f"{where}: {error}") from None
        if len(inflated) > size:
            raise WeightsError(f"{where}: a chunk inflates to more than {size} bytes")

"""LMDB's file read without LMDB: the records of a ``data.mdb``, by bytes that are checked before use.

LMDB itself maps the file and follows what it finds there, so a file that was cut or damaged ends the process
(SIGBUS, SIGSEGV). Here every page is read by a system call, each page number, offset and length is held
against the file, and what does not fit is a DataError. Reading is all that is needed, and no package for it.

The file is a row of pages. Pages 0 and 1 are meta pages, written in turns; the one with the higher
transaction number holds. It names the root of a B+tree: branch pages point to pages, leaf pages hold keys
with their values, and a value that is too long for a leaf lies in overflow pages, one after the other.
(LMDB 0.9, data version 1, as written by 64-bit little-endian machines, which is what Caffe's users have.)
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from vggrepro.data.sources.regular_file import open_regular
from vggrepro.errors import DataError

_HEADER = struct.Struct("<QHHHH")  # page number, padding, flags, lower, upper
_OVERFLOW_HEADER = struct.Struct("<QHHI")  # page number, padding, flags, pages
_META = struct.Struct("<IIQQ")  # magic, version, address, map size; two databases follow
_DATABASE = struct.Struct("<IHHQQQQQ")  # padding, flags, depth, branch, leaf, overflow pages, entries, root
_TAIL = struct.Struct("<QQ")  # last page, transaction
_NODE = struct.Struct("<HHHH")  # size or page number: low, high; flags or page number: highest; key size

_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 1, 2, 4, 8
_BIG_DATA = 1
_NODE_KINDS = {2: "a named database", 4: "values of duplicate keys"}
_DATABASE_KINDS = {
    0x02: "reversed keys (MDB_REVERSEKEY)",
    0x04: "duplicate keys (MDB_DUPSORT)",
    0x08: "whole numbers as keys (MDB_INTEGERKEY)",
}
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_NO_PAGE = 2**64 - 1
_MOST_DEPTH = 32
_PAGE_SIZES = tuple(2**k for k in range(8, 17))


@dataclass(frozen=True)
class _Meta:
    page_size: int
    flags: int
    depth: int
    entries: int
    root: int
    transaction: int


@dataclass(frozen=True, eq=False)
class LmdbFile:
    """The records of one database, in the order of their keys.

    Record i has the key ``keys[i]`` and a value of ``sizes[i]`` bytes that begins at byte ``starts[i]`` of
    the file. ``pages[i]`` is the overflow page that it begins in; 0 if it lies in a leaf.
    """

    path: Path
    """The folder of ``data.mdb``."""
    keys: tuple[bytes, ...]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    pages: npt.NDArray[np.int64]
    page_size: int
    file: IO[bytes]

    @classmethod
    def open(cls, path: Path) -> LmdbFile:
        """Read and check all branch and leaf pages of a folder's ``data.mdb``; values are read when they are
        asked for. Raises DataError where the file is none, is cut short, or is damaged.
        """
        file = open_regular(path / "data.mdb", f"{path}: not a readable LMDB")
        walk = _Walk(path, file.fileno())
        walk.run()
        starts, sizes, pages = (
            np.array(column, np.int64) for column in (walk.starts, walk.sizes, walk.pages)
        )
        return cls(path, tuple(walk.keys), starts, sizes, pages, walk.meta.page_size, file)

    def value(self, index: int) -> bytes:
        """The value of a record. Raises DataError where its pages are not what the tree says."""
        start, size, page = int(self.starts[index]), int(self.sizes[index]), int(self.pages[index])
        before = _OVERFLOW_HEADER.size if page else 0
        data = os.pread(self.file.fileno(), before + size, start - before)
        if len(data) != before + size:
            raise DataError(f"{self.path}: not a readable LMDB: the file ends within a value")
        if page:
            number, _, flags, count = _OVERFLOW_HEADER.unpack_from(data)
            if number != page or flags & 0xF != _OVERFLOW or count * self.page_size < before + size:
                raise DataError(
                    f"{self.path}: not a readable LMDB: page {page} does not begin a value of {size} bytes"
                )
        return data[before:]


class _Walk:
    """One pass over the tree, which collects the records and refuses what LMDB would not have written."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.file_size = os.fstat(descriptor).st_size
        self.keys: list[bytes] = []
        self.starts, self.sizes, self.pages = array("q"), array("q"), array("q")
        self.seen: set[int] = set()
        self.meta = self._newest_meta()

    def run(self) -> None:
        """Collect all records. Raises DataError."""
        if self.meta.root != _NO_PAGE:
            self._page(self.meta.root, self.meta.depth)
        if len(self.keys) != self.meta.entries:
            raise self._damaged(f"{len(self.keys)} records, expected {self.meta.entries}")
        for before, key in pairwise(self.keys):
            if not before < key:
                raise self._damaged(f"key {key!r} behind {before!r}")

    def _damaged(self, problem: str) -> DataError:
        return DataError(f"{self.path}: not a readable LMDB: {problem}")

    def _newest_meta(self) -> _Meta:
        first = self._meta(0)
        second = self._meta(first.page_size)
        if second.page_size != first.page_size:
            raise self._damaged(f"pages of {first.page_size} and of {second.page_size} bytes")
        newest = max(first, second, key=lambda meta: meta.transaction)
        for flag, kind in _DATABASE_KINDS.items():
            if newest.flags & flag:
                raise self._damaged(f"{kind} are not supported; Caffe's databases have none")
        return newest

    def _meta(self, place: int) -> _Meta:
        main = _HEADER.size + _META.size + _DATABASE.size  # behind the list of free pages
        length = main + _DATABASE.size + _TAIL.size
        data = os.pread(self.descriptor, length, place)
        if len(data) < length:
            raise self._damaged(f"{self.file_size} bytes, which end within the two pages at the start")
        flags = _HEADER.unpack_from(data)[2]
        magic, version, _, _ = _META.unpack_from(data, _HEADER.size)
        if magic != _MAGIC or not flags & _META_PAGE:
            raise self._damaged(
                f"no meta page at byte {place}: magic number {magic:#010x}, expected {_MAGIC:#010x}"
            )
        if version != _VERSION:
            raise self._damaged(f"data version {version}, expected {_VERSION}")
        page_size = _DATABASE.unpack_from(data, _HEADER.size + _META.size)[0]
        if page_size not in _PAGE_SIZES:
            raise self._damaged(f"pages of {page_size} bytes, expected a power of 2 from 256 to 65536")
        _, flags, depth, _, _, _, entries, root = _DATABASE.unpack_from(data, main)
        _, transaction = _TAIL.unpack_from(data, main + _DATABASE.size)
        return _Meta(page_size, flags, depth, entries, root, transaction)

    def _page(self, number: int, depth: int) -> None:
        """The records of a page and of those below it, which are ``depth`` levels with it."""
        if not 1 <= depth <= _MOST_DEPTH:
            raise self._damaged(f"page {number} is at a level that the tree has not")
        size = self.meta.page_size
        if not 1 < number < self.file_size // size:
            raise self._damaged(
                f"page {number} is in use, but the file of {self.file_size} bytes"
                f" holds {self.file_size // size} whole pages: cut short?"
            )
        if number in self.seen:
            raise self._damaged(f"page {number} occurs twice in the tree")
        self.seen.add(number)
        data = os.pread(self.descriptor, size, number * size)
        if len(data) != size:
            raise self._damaged(f"the file ends within page {number}")
        found, _, flags, lower, upper = _HEADER.unpack_from(data)
        kind = _LEAF if depth == 1 else _BRANCH
        if found != number or flags & 0xFF & ~0x10 != kind or not _HEADER.size <= lower <= upper <= size:
            raise self._damaged(f"page {number} is no {'leaf' if depth == 1 else 'branch'} of the tree")
        nodes = struct.unpack_from(f"<{(lower - _HEADER.size) // 2}H", data, _HEADER.size)
        if depth == 1:
            self._leaf(number, data, nodes)
            return
        for low, high, highest, _, _ in self._nodes(number, data, nodes):
            self._page(low | high << 16 | highest << 32, depth - 1)

    def _nodes(
        self, page: int, data: bytes, nodes: tuple[int, ...]
    ) -> Iterator[tuple[int, int, int, int, int]]:
        """The fields of each node, and where its key ends in the page."""
        size, unpack = len(data), _NODE.unpack_from
        least = _HEADER.size + 2 * len(nodes)
        for place in nodes:
            if not least <= place <= size - _NODE.size:
                raise self._damaged(f"page {page} has a record at byte {place} of {size}")
            low, high, flags, key_size = unpack(data, place)
            end = place + _NODE.size + key_size
            if end > size:
                raise self._damaged(f"page {page} has a key of {key_size} bytes, which leaves the page")
            yield low, high, flags, place + _NODE.size, end

    def _leaf(self, page: int, data: bytes, nodes: tuple[int, ...]) -> None:
        size = len(data)
        for low, high, flags, begin, end in self._nodes(page, data, nodes):
            length = low | high << 16
            self.keys.append(data[begin:end])
            self.sizes.append(length)
            if flags == 0 and end + length <= size:
                self.starts.append(page * size + end)
                self.pages.append(0)
            elif flags == _BIG_DATA and end + 8 <= size:
                first = int.from_bytes(data[end : end + 8], "little")
                start = first * size + _OVERFLOW_HEADER.size
                if first < 2 or start + length > self.file_size:
                    raise self._damaged(
                        f"the value of key {data[begin:end]!r} ends at byte {start + length},"
                        f" but the file has {self.file_size}: cut short?"
                    )
                self.starts.append(start)
                self.pages.append(first)
            else:
                kind = next((kind for flag, kind in _NODE_KINDS.items() if flags & flag), "a damaged record")
                raise self._damaged(f"{kind} under key {data[begin:end]!r}; only plain values are read")

"""Images inside a tar, read in place: ILSVRC's validation tar, and its training tar of 1000 tars.

The headers are walked once; after that an image is one ``pread`` at a known offset, which any
number of threads may do at the same time. Inside ``n01440764.tar`` the file
``n01440764_10026.JPEG`` has the key ``n01440764/n01440764_10026.JPEG``, as in Caffe's train.txt.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from vggrepro.data.sources.base import Source, is_image_name
from vggrepro.errors import DataError
from vggrepro.system.atomic import replacing


@dataclass(frozen=True, eq=False)
class TarSource(Source):
    """Image members of an uncompressed tar, sorted by key, with their place in the file."""

    path: Path
    keys: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    file: IO[bytes]

    @classmethod
    def open(cls, path: Path, index: Path | None = None) -> TarSource:
        """Index the tar, nested tars too. Raises DataError if it is no tar, damaged, or without images.

        ``index`` names a file that keeps what was found. It is used again while the tar has the same
        size and time: walking 1.28 million headers of a tar of 138 GB takes minutes.
        """
        file = path.open("rb")
        status = os.fstat(file.fileno())
        stamp = np.array([status.st_size, status.st_mtime_ns])
        table = _load_index(index, stamp) if index is not None else None
        if table is None:
            table = _table(path, file)
            if index is not None:
                _save_index(index, stamp, table)
        return cls(path, *table, file)

    @property
    def name(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        return self.keys[index]

    def read(self, index: int) -> bytes:
        size = int(self.sizes[index])
        data = os.pread(self.file.fileno(), size, int(self.offsets[index]))
        if len(data) != size:
            raise DataError(f"{self.place(index)}: the tar ends after {len(data)} of {size} bytes")
        return data


Table = tuple[tuple[str, ...], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _table(path: Path, file: IO[bytes]) -> Table:
    """Keys, offsets and sizes of the images, sorted by key."""
    members = sorted(_members(path, file, 0, ""))
    if not members:
        raise DataError(f"{path}: no image files in this tar")
    for (key, _, _), (following, _, _) in pairwise(members):
        if key == following:
            raise DataError(f"{path}: the member {key} occurs more than once")
    keys, offsets, sizes = zip(*members, strict=True)
    return tuple(keys), np.array(offsets, np.int64), np.array(sizes, np.int64)


def _members(path: Path, file: IO[bytes], start: int, folder: str) -> Iterator[tuple[str, int, int]]:
    """Key, offset in the outermost file, and size of each image in the tar that begins at ``start``."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if not member.isreg() or member.issparse():
                    continue
                if name.endswith(".tar"):
                    content = archive.extractfile(member)
                    assert content is not None  # a regular file
                    stem = folder + Path(name).stem + "/"
                    yield from _members(path, content, start + member.offset_data, stem)
                elif is_image_name(name):
                    yield folder + name, start + member.offset_data, member.size
    except tarfile.TarError as error:
        inside = f" ({folder.rstrip('/')}.tar inside)" if folder else ""
        raise DataError(f"{path}{inside}: not an uncompressed tar, or a damaged one: {error}") from error


def _load_index(index: Path, stamp: npt.NDArray[np.int64]) -> Table | None:
    """What an earlier run found, or None where there is nothing or it belongs to another tar."""
    if not index.exists():
        return None
    try:
        with np.load(index, allow_pickle=False) as stored:
            if not np.array_equal(stored["stamp"], stamp):
                return None
            keys = stored["keys"].tobytes().decode().split("\n")
            return tuple(keys), stored["offsets"], stored["sizes"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{index}: not an index of a tar ({error}); remove it") from error


def _save_index(index: Path, stamp: npt.NDArray[np.int64], table: Table) -> None:
    keys, offsets, sizes = table
    names = np.frombuffer("\n".join(keys).encode(), np.uint8)
    with replacing(index) as file:
        np.savez(file, stamp=stamp, keys=names, offsets=offsets, sizes=sizes)

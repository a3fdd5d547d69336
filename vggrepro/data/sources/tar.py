"""Images inside a tar, read in place: ILSVRC's validation tar, and its training tar of 1000 tars.

The headers are walked once; after that an image is one ``pread`` at a known offset, which any
number of threads may do at the same time. Inside ``n01440764.tar`` the file
``n01440764_10026.JPEG`` has the key ``n01440764/n01440764_10026.JPEG``, as in Caffe's train.txt.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from vggrepro.data.image_header import MAX_FILE_BYTES
from vggrepro.data.sources.base import HEADER_BYTES, Source, is_image_name
from vggrepro.data.sources.regular_file import open_regular
from vggrepro.data.sources.tar_index import Table, load_index, save_index
from vggrepro.data.sources.tar_members import Contents, Extent, read_contents
from vggrepro.errors import DataError

_MOST_NESTED = 4
"""Levels of tars in tars; ILSVRC's training tar has two."""


@dataclass(frozen=True, eq=False)
class TarSource(Source):
    """Image members of an uncompressed tar, sorted by key, with their place in the file."""

    path: Path
    keys: Sequence[str]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    file: IO[bytes]

    @classmethod
    def open(cls, path: Path, index: Path | None = None) -> TarSource:
        """Index the tar, nested tars too. Hard and symbolic links stand for the members that they lead to.

        ``index`` names a file that keeps what was found. It is used again while the tar has the same
        size and time: walking 1.28 million headers of a tar of 138 GB takes minutes. A damaged index is
        named in a warning, and made anew; another file is not overwritten.

        Raises DataError if the tar is none, damaged, without images, or has images that cannot be read: links
        that lead nowhere in it, sparse files, devices.
        """
        file = open_regular(path, f"{path}: not an uncompressed tar")
        status = os.fstat(file.fileno())
        stamp = np.array([status.st_size, status.st_mtime_ns])
        table = load_index(index, stamp, file.fileno()) if index is not None else None
        if table is None:
            table = _table(path, file, status.st_size)
            if index is not None:
                save_index(index, stamp, table)
        source = cls(path, *table, file)
        weakref.finalize(source, file.close)
        return source

    @property
    def name(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        return self.keys[index]

    def read(self, index: int) -> bytes:
        size = int(self.sizes[index])
        if size > MAX_FILE_BYTES:
            raise DataError(f"{self.place(index)}: {size:,} bytes, expected at most {MAX_FILE_BYTES:,}")
        data = os.pread(self.file.fileno(), size, int(self.offsets[index]))
        if len(data) != size:
            raise DataError(f"{self.place(index)}: the tar ends after {len(data)} of {size} bytes")
        return data

    def beginning(self, index: int) -> bytes:
        return os.pread(
            self.file.fileno(), min(int(self.sizes[index]), HEADER_BYTES), int(self.offsets[index])
        )


def _table(path: Path, file: IO[bytes], size: int) -> Table:
    """Keys, offsets and sizes of the images, sorted by key."""
    members = sorted(_images(path, file, 0, size, ""))
    if not members:
        raise DataError(f"{path}: no image files in this tar")
    for (key, _, _), (following, _, _) in pairwise(members):
        if key == following:
            raise DataError(f"{path}: the member {key} occurs more than once")
    keys, offsets, sizes = zip(*members, strict=True)
    return tuple(keys), np.array(offsets, np.int64), np.array(sizes, np.int64)


def _images(path: Path, file: IO[bytes], start: int, end: int, folder: str) -> Iterator[tuple[str, int, int]]:
    """Key, offset in the outermost file, and size of each image in the tar at bytes ``start`` to ``end``."""
    inside = f" ({folder.rstrip('/')}.tar inside)" if folder else ""
    if folder.count("/") >= _MOST_NESTED:
        raise DataError(f"{path}{inside}: tars in tars, expected at most {_MOST_NESTED} levels")
    tar = Extent(f"{path}{inside}", file.fileno(), start, end)
    contents = read_contents(tar)
    _warn_of_links_out(contents, tar.where)
    for name, stored in contents.stored.items():
        if stored.endswith(".tar"):
            if name not in contents.files:
                raise tar.refused(f"the member {stored} is no regular file, as a tar in a tar must be")
            member = contents.files[name]
            stem = folder + Path(stored).stem + "/"
            yield from _images(path, file, member.offset, member.offset + member.size, stem)
        elif is_image_name(stored):
            member = contents.resolve(name)
            yield folder + stored, member.offset, member.size


def _warn_of_links_out(contents: Contents, where: str) -> None:
    """Name a link behind which images may be that the tar does not hold: a folder would be followed."""
    for name in contents.symbolic_links:
        stored = contents.stored[name]
        if not is_image_name(stored) and not stored.endswith(".tar") and contents.leads_out(name):
            warnings.warn(
                f"{where}: the link {stored} leads out of the tar, and is not followed", stacklevel=2
            )

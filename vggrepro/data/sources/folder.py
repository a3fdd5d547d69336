"""Images as files under one folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path

from vggrepro.data.image_header import MAX_FILE_BYTES
from vggrepro.data.sources.base import HEADER_BYTES, Source, is_image_name
from vggrepro.data.sources.regular_file import kind_of, open_regular, read_regular
from vggrepro.errors import DataError


@dataclass(frozen=True, eq=False)
class FolderSource(Source):
    """Image files below ``root``, by their path from there. Names that are not UTF-8 have surrogates in
    their keys (``surrogateescape``)."""

    root: Path
    keys: tuple[str, ...]

    @classmethod
    def open(cls, root: Path) -> FolderSource:
        """Every image file below ``root``, sorted by path.

        Links to folders are followed; a folder with several names counts once, under its own name if that is
        below ``root``. A warning names pipes, sockets and devices that bear the name of an image. Raises
        DataError if there is no image, or a folder cannot be read.
        """
        keys = tuple(sorted(_image_paths(root)))
        if not keys:
            raise DataError(f"{root}: no image files in this folder")
        return cls(root, keys)

    @property
    def name(self) -> str:
        return str(self.root)

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        return self.keys[index]

    def place(self, index: int) -> str:
        return str(self.root / self.keys[index])

    def read(self, index: int) -> bytes:
        place = self.place(index)
        return read_regular(Path(place), MAX_FILE_BYTES, f"{place}: Could not open or find file")

    def beginning(self, index: int) -> bytes:
        place = self.place(index)
        try:
            with open_regular(Path(place), f"{place}: Could not open or find file") as file:
                return file.read(HEADER_BYTES)
        except OSError as error:
            raise DataError(f"{place}: {error.strerror}") from error


def _image_paths(root: Path) -> Iterator[str]:
    """The images' paths from ``root``: first of the folders themselves, then, in the order of their names, of
    those that only a link leads to."""
    seen: set[tuple[int, int]] = set()
    links = [""]  # a heap
    while links:
        waiting = [heappop(links)]
        while waiting:
            folder = waiting.pop()
            status = (root / folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in _entries(root / folder):
                path = f"{folder}/{entry.name}" if folder else entry.name
                if not _is_folder(entry):
                    if is_image_name(entry.name) and _is_file(entry):
                        yield path
                elif entry.is_symlink():
                    heappush(links, path)
                else:
                    waiting.append(path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file. One that cannot be looked at, as behind a broken link, counts as one: it is
    an error when it is read."""
    try:
        if entry.is_file():
            return True
        mode = entry.stat().st_mode
    except OSError:
        return True
    warnings.warn(f"{entry.path}: {kind_of(mode)}, not read as an image", stacklevel=2)
    return False

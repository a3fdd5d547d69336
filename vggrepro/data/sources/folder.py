"""Images as files under one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vggrepro.data.sources.base import Source, is_image_name
from vggrepro.errors import DataError


@dataclass(frozen=True, eq=False)
class FolderSource(Source):
    """Image files below ``root``, by their path from there."""

    root: Path
    keys: tuple[str, ...]

    @classmethod
    def open(cls, root: Path) -> FolderSource:
        """Every image file below ``root``, sorted by path. Raises DataError if there is none."""
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
        try:
            return Path(self.place(index)).read_bytes()
        except OSError as error:
            raise DataError(f"{self.place(index)}: Could not open or find file: {error.strerror}") from error


def _image_paths(root: Path) -> Iterator[str]:
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link back to a folder above
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        prefix = Path(folder).relative_to(root)
        yield from ((prefix / file).as_posix() for file in files if is_image_name(file))

"""What every set of images offers, whatever holds the files: a folder, a tar, a database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import MAX_PIXELS, Exif
from vggrepro.data.decode import Decoded, Pixels, decode
from vggrepro.data.image_header import check_pixels, read_header
from vggrepro.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})

HEADER_BYTES = 1 << 16
"""Where the header of an image file nearly always ends."""


class Source(ABC):
    """An ordered set of images. Immutable, and safe to read from any number of threads."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Where the images are, for messages."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def key(self, index: int) -> str:
        """The name of an image inside the set: a path with ``/``, or a database key."""

    def label(self, index: int) -> int | None:
        """The class of an image, from 0; None where the set itself does not know it."""
        return None

    @abstractmethod
    def read(self, index: int) -> bytes | Pixels:
        """The encoded file, or the pixels (H, W, C), uint8, where they are stored bare.

        Raises DataError where they cannot be read.
        """

    def beginning(self, index: int) -> bytes | Pixels:
        """As :meth:`read`, but of an encoded file at least the first ``HEADER_BYTES`` are enough."""
        return self.read(index)

    def declared_size(self, index: int) -> tuple[int, int] | None:
        """Height and width of an image as its file declares them; None where nothing can be told from its
        beginning."""
        try:
            content = self.beginning(index)
        except DataError:
            return None
        if not isinstance(content, bytes):
            return content.shape[0], content.shape[1]
        header = read_header(content)
        return None if header is None else (header.height, header.width)

    def place(self, index: int) -> str:
        """Where an image is, for messages."""
        return f"{self.name}: {self.key(index)}"

    def decoded(
        self, index: int, *, grey: bool = False, exif: Exif = "ignore", max_pixels: int = MAX_PIXELS
    ) -> Decoded:
        """Read and decode an image to (H, W, 3), or (H, W, 1) where ``grey``.

        Raises DataError where that fails, and before anything is decoded if an image has more pixels.
        """
        content, name = self.read(index), self.place(index)
        if isinstance(content, bytes):
            return decode(content, name, grey=grey, exif=exif, max_pixels=max_pixels)
        height, width, channels = content.shape
        check_pixels(height, width, f"{name}: an image", max_pixels)
        wanted = 1 if grey else 3
        if channels != wanted:
            raise DataError(f"{name}: stored with {channels} channels, {wanted} are needed")
        return Decoded(content, truncated=False)


@dataclass(frozen=True, eq=False)
class Selection(Source):
    """Some images of another source, in an order of its own, with labels of its own if given."""

    base: Source
    indices: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        return self.base.name

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        return self.base.key(int(self.indices[index]))

    def label(self, index: int) -> int | None:
        if self.labels is None:
            return self.base.label(int(self.indices[index]))
        return int(self.labels[index])

    def read(self, index: int) -> bytes | Pixels:
        return self.base.read(int(self.indices[index]))

    def beginning(self, index: int) -> bytes | Pixels:
        return self.base.beginning(int(self.indices[index]))

    def place(self, index: int) -> str:
        return self.base.place(int(self.indices[index]))


def with_labels(source: Source, labels: Sequence[int] | npt.NDArray[np.int64]) -> Selection:
    """All images of ``source`` with one label each. Raises DataError where the numbers differ."""
    if len(labels) != len(source):
        raise DataError(f"{source.name}: {len(source)} images, but {len(labels)} labels")
    return Selection(source, np.arange(len(source)), np.asarray(labels, np.int64))


def select(source: Source, indices: Sequence[int] | npt.NDArray[np.int64]) -> Selection:
    """The images at ``indices``, in that order, with the labels they have."""
    return Selection(source, np.asarray(indices, np.int64))


def listed(source: Source, entries: Sequence[tuple[str, int]], list_name: str) -> Selection:
    """The images that a list of ``(key, label)`` names, in the list's order.

    A key that the source lacks is looked up by its last part, where that is unique on both sides: a
    set may lie one folder deeper or flatter than its list says. Raises DataError naming what is missing.
    """
    places = {source.key(index): index for index in range(len(source))}
    by_name: dict[str, str] | None = None
    indices = np.empty(len(entries), np.int64)
    missing = []
    for number, (key, _) in enumerate(entries):
        index = places.get(key)
        if index is None:
            by_name = _unique_names(places) if by_name is None else by_name
            index = places.get(by_name.get(file_name(key), ""))
        if index is None:
            missing.append(key)
        else:
            indices[number] = index
    if by_name and not missing:
        # Found by its last part, an image must not stand for two different keys of the list.
        names = _unique_names({key for key, _ in entries})
        missing = [key for key, _ in entries if key not in places and file_name(key) not in names]
    if missing:
        raise DataError(
            f"{list_name}: {len(missing)} of {len(entries)} images are not in {source.name}: {missing[0]}"
            + (f", {missing[1]}, ..." if len(missing) > 1 else "")
        )
    return Selection(source, indices, np.array([label for _, label in entries], np.int64))


def alphabetical(source: Source) -> npt.NDArray[np.int64]:
    """The places of the images in the order of their file names, which is how the devkit counts them:
    whatever folders the files have been sorted into."""
    keys = [source.key(index) for index in range(len(source))]
    return np.asarray(sorted(range(len(keys)), key=lambda i: (file_name(keys[i]), keys[i])), np.int64)


def file_name(key: str) -> str:
    """The last part of a key."""
    return key.rpartition("/")[2]


def _unique_names(keys: Iterable[str]) -> dict[str, str]:
    """From last part to key, for those last parts that only one key has."""
    names = [(file_name(key), key) for key in keys]
    count = Counter(name for name, _ in names)
    return {name: key for name, key in names if count[name] == 1}


def is_image_name(name: str) -> bool:
    """Whether a file in a folder or tar counts as an image: by suffix, and not a hidden file."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")

"""Writing to places of files, on disks that may be full: arrays mapped for writing, and whole pieces."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]

_PIECE = 1 << 20


def mapped_rows(path: Path, shape: tuple[int, ...], offset: int = 0) -> Rows:
    """Zeros of this shape, float32 in C's order, mapped for writing from byte ``offset`` of an existing file.

    The disk's room is taken at once: writing to a map of a file with holes, on a disk that is full, would end
    the process. Raises OSError, which names the file.
    """
    with path.open("r+b") as file:
        return _mapped(file.fileno(), shape, offset, path)


@contextmanager
def scratch_rows(folder: Path, shape: tuple[int, ...]) -> Iterator[Rows]:
    """As :func:`mapped_rows`, in a file without a name, which is gone with the block or the process."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield _mapped(file.fileno(), shape, 0, folder)


@contextmanager
def reserved_room(folder: Path, size: int) -> Iterator[None]:
    """Hold ``size`` bytes of a disk for what is written after the block. Raises OSError, which names the
    folder, where there is less."""
    with tempfile.TemporaryFile(dir=folder) as file:
        _take_room(file.fileno(), 0, max(size, 1), folder)
        yield


def _mapped(descriptor: int, shape: tuple[int, ...], offset: int, path: Path) -> Rows:
    if 0 in shape:
        return np.zeros(shape, np.float32)
    _take_room(descriptor, offset, 4 * int(np.prod(shape, dtype=np.int64)), path)
    with os.fdopen(os.dup(descriptor), "r+b") as file:
        return np.memmap(file, np.float32, "r+", offset, shape)


def _take_room(descriptor: int, offset: int, size: int, path: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        for at in range(offset, offset + size, _PIECE):
            write_whole(descriptor, bytes(min(_PIECE, offset + size - at)), at, path)
        return
    try:
        os.posix_fallocate(descriptor, offset, size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def write_whole(descriptor: int, data: bytes | memoryview, offset: int, path: Path) -> None:
    """Write all of ``data`` at a place of an open file, however little the system takes at a time. Raises
    OSError, which names ``path``."""
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None

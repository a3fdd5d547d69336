"""Files mapped into memory, and copying arrays that lie in them.

Mapping a file takes no time and no memory: its pages are read when they are looked at. Copying a whole array
is faster by ``read`` than through the map, which brings in one page at a time (four times the processor
time) and counts each as memory of this process.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import weakref
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import WeightsError
from vggrepro.system.file_names import file_path

CHUNK = 1 << 20
"""Bytes that are copied at a time."""


class MappedFile(mmap.mmap):
    """A file mapped for reading, which stays the same file even if its name is given to another one.

    Raises OSError, also for a device or a pipe, and ValueError for an empty file.
    """

    path: str
    descriptor: int
    """Of the open file; closed with the last array that lies in the map."""

    def __new__(cls, path: str | PathLike[str]) -> MappedFile:
        with file_path(path).open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(
                    errno.EINVAL, "a device or a pipe, expected a file, which is read in place", path
                )
            mapped = super().__new__(cls, file.fileno(), 0, access=mmap.ACCESS_READ)
            mapped.path = str(path)
            mapped.descriptor = os.dup(file.fileno())
        weakref.finalize(mapped, os.close, mapped.descriptor)
        return mapped

    def forget(self) -> None:
        """Count no page that was looked at as memory of this process, until it is looked at again. Where the
        system's cache holds a file in huge pages, a glance at one of its headers counts as 2 MiB."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.madvise(mmap.MADV_DONTNEED)


def chunks(array: npt.NDArray[Any]) -> Iterator[memoryview | bytes]:
    """The bytes of an array in C's order, ``CHUNK`` at a time.

    Those of a mapped file are read from the file. Raises OSError, and WeightsError if the file has become
    shorter.
    """
    place = _place(array)
    if place is None:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        yield from (flat[start : start + CHUNK].data for start in range(0, flat.size, CHUNK))
        return
    file, offset = place
    end = offset + array.nbytes
    while offset < end:
        piece = os.pread(file.descriptor, min(CHUNK, end - offset), offset)
        if not piece:
            raise WeightsError(f"{file.path}: changed while it was read")
        yield piece
        offset += len(piece)


def own_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy of an array that is contiguous in C's order and aligned. Raises as :func:`chunks`."""
    copy = np.empty(array.shape, array.dtype)
    target, start = copy.reshape(-1).view(np.uint8), 0
    for piece in chunks(array):
        target[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
        start += len(piece)
    return copy


def _place(array: npt.NDArray[Any]) -> tuple[MappedFile, int] | None:
    """The mapped file that a contiguous array lies in, and the offset of its first byte there; else None."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    file = base.obj if isinstance(base, memoryview) else base
    if not isinstance(file, MappedFile) or not array.flags.c_contiguous or not hasattr(os, "pread"):
        return None
    return file, array.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data

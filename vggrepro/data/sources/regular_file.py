"""Opening files for reading without waiting on what is no file: pipes, devices, sockets."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from vggrepro.errors import DataError
from vggrepro.system.file_names import failure, file_path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, problem: str) -> IO[bytes]:
    """Open a regular file for reading, unbuffered. Raises DataError that begins with ``problem`` for anything
    else, at once: opening a pipe would wait for its writer."""
    try:
        descriptor = os.open(file_path(path), _FLAGS)
    except OSError as error:
        raise DataError(f"{problem}: {failure(error)}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise DataError(f"{problem}: {kind_of(mode)}, expected a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def kind_of(mode: int) -> str:
    """What a file that is not regular is, from its mode."""
    return _KINDS.get(stat.S_IFMT(mode), "no regular file")


def read_regular(path: Path, most: int, problem: str) -> bytes:
    """The content of a regular file. Raises DataError as :func:`open_regular`, where it cannot be read, and
    where it has more than ``most`` bytes."""
    with open_regular(path, problem) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise DataError(f"{problem}: {size:,} bytes, expected at most {most:,}")
        try:
            return file.read()
        except OSError as error:
            raise DataError(f"{problem}: {error.strerror}") from error

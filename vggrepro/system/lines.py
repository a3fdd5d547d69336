"""Files of lines to which a run appends, and which it may be killed in the middle of."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PIECE = 1 << 16
"""Bytes that are looked at at a time."""


def cut_torn_line(path: Path) -> None:
    """Cut a last line without its newline off the end of a file: what a killed run has left of it. A file
    that does not exist is left so. Raises OSError."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        while start > 0:
            piece_end, start = start, max(start - _PIECE, 0)
            file.seek(start)
            newline = file.read(piece_end - start).rfind(b"\n")
            if newline >= 0:
                start += newline + 1
                break
        if start < end:
            file.truncate(start)


def append_whole(descriptor: int, data: bytes) -> None:
    """Append ``data`` to an open file: all of it, or nothing if the disk is full or fails, which raises
    OSError."""
    start = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        with contextlib.suppress(OSError):  # a pipe or a device cannot be cut
            os.ftruncate(descriptor, start)
        raise

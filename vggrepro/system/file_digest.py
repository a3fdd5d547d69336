"""Digests of files. One that several will ask for is computed once, beside other work."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from vggrepro.errors import WeightsError
from vggrepro.system.background import Background

PIECE = 1 << 23
"""Bytes that are read and digested at a time, which takes 5 ms."""

SWITCH = 5e-5
"""Seconds that another thread may hold the interpreter when the digesting one waits for it, between two
pieces."""

Stamp = tuple[int, int]
"""Modification time and size of a file: what changes when it is written again."""

_begun: dict[Path, Background[tuple[str, Stamp]]] = {}
"""The SHA-256 of files that threads are computing, or have computed, by absolute path."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises as :func:`file_digest`."""
    return file_digest(path, "sha256")


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file's bytes by an algorithm of hashlib, in hexadecimal digits. Raises WeightsError if
    the file changes meanwhile, or has changed since :func:`digesting` began with it; OSError."""
    begun = _begun.get(path.absolute()) if algorithm == "sha256" else None
    digest, stamp = _read(path, algorithm, Event()) if begun is None else begun.result()
    if _stamp(path) != stamp:
        raise WeightsError(f"{path}: changed while it was read")
    return digest


@contextmanager
def digesting(path: Path | None) -> Iterator[None]:
    """Within the block a thread computes the SHA-256 of a file, and ``file_sha256`` waits for it instead of
    reading the file again. For what is no regular file there is no thread, and no second one for a file that
    a block around this one digests."""
    # Path.is_file raises for a folder that may not be read, Path.absolute where the working one is gone.
    if path is None or not os.path.isfile(path) or path.absolute() in _begun:  # noqa: PTH113
        yield
        return
    left, interval = Event(), sys.getswitchinterval()
    sys.setswitchinterval(min(interval, SWITCH))
    begun = _begun[path.absolute()] = Background(_read, path, "sha256", left)
    try:
        yield
    finally:
        del _begun[path.absolute()]
        left.set()
        begun.wait()
        sys.setswitchinterval(interval)


def _read(path: Path, algorithm: str, left: Event) -> tuple[str, Stamp]:
    """The digest, and the stamp of the file before it was read; of a part of it if nobody waits any more."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    stamp = _stamp(path)
    piece = memoryview(bytearray(min(PIECE, stamp[1] + 1)))
    with path.open("rb", buffering=0) as file:
        while not left.is_set() and (size := file.readinto(piece)):
            digest.update(piece[:size])
    return digest.hexdigest(), stamp


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size

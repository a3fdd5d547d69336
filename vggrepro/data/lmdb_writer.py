"""New LMDB databases, as Caffe's tools write them (extra ``lmdb``)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vggrepro.errors import DataError
from vggrepro.system.extras import extra
from vggrepro.system.new_folder import new_folder

_MAP_SIZE = 1 << 28
"""Bytes that a database may have at first; doubled as often as it is full."""

_BATCH = 1000
"""Records that are written in one transaction."""


class LmdbWriter:
    """Puts records into an open environment of the package ``lmdb``."""

    def __init__(self, package: Any, environment: Any) -> None:
        self._package = package
        self._environment = environment
        self._waiting: list[tuple[bytes, bytes]] = []

    def put(self, key: bytes, value: bytes) -> None:
        """Add a record; one of the same key is replaced. Raises DataError for a key that LMDB does not
        take."""
        self._waiting.append((key, value))
        if len(self._waiting) == _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what has been put so far."""
        while self._waiting:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in self._waiting:
                        transaction.put(key, value)
                self._waiting = []
            except self._package.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            except self._package.BadValsizeError:
                longest = self._environment.max_key_size()
                bad = next(key for key, _ in self._waiting if not 0 < len(key) <= longest)
                raise DataError(f"key {bad!r}: {len(bad)} bytes, LMDB takes 1 to {longest}") from None


@contextmanager
def new_lmdb(path: Path) -> Iterator[LmdbWriter]:
    """A new database, which takes its name when the block ends without an exception.

    Raises DataError if there is something of that name already, as in Caffe, the package is missing or LMDB
    fails; OSError. Nobody else opens it before it has its name, so it is not locked: LMDB's lock lies in
    mapped memory, and a full disk would end the process.
    """
    package = extra("lmdb", "lmdb", f"writing {path}")
    try:
        with (
            new_folder(path) as folder,
            package.open(os.fsencode(folder), map_size=_MAP_SIZE, mode=0o664, lock=False) as environment,
        ):
            writer = LmdbWriter(package, environment)
            yield writer
            writer.flush()
    except package.Error as error:  # which begins with LMDB's function or the hidden folder
        problem = str(error).rpartition(": ")[2]
        cut = problem == os.strerror(errno.EIO)  # so LMDB calls a write that the disk took a part of
        raise DataError(f"{path}: {problem}{', or the disk is full' if cut else ''}") from error

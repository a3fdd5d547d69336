"""New LMDB databases, as Caffe's tools write them (extra ``lmdb``)."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vggrepro.errors import DataError
from vggrepro.system.atomic import shortened
from vggrepro.system.extras import extra

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
    if path.exists() or path.is_symlink():
        raise DataError(f"{path}: exists already; Caffe's tools make new databases only")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{shortened(path.name)}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with package.open(os.fsencode(temporary), map_size=_MAP_SIZE, mode=0o664, lock=False) as environment:
            writer = LmdbWriter(package, environment)
            yield writer
            writer.flush()
        temporary.chmod(0o755)
        temporary.rename(path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, package.Error):  # which begins with LMDB's function or the hidden folder
            problem = str(error).rpartition(": ")[2]
            cut = problem == os.strerror(errno.EIO)  # so LMDB calls a write that the disk took a part of
            raise DataError(f"{path}: {problem}{', or the disk is full' if cut else ''}") from error
        raise


def check_backend(backend: str, what: str) -> None:
    """Raise DataError for a database that is no LMDB."""
    if backend != "lmdb":
        raise DataError(f"{what}: backend {backend!r} is not supported, only lmdb is")

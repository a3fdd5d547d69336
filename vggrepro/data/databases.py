"""Databases of Datums by the names that Caffe's tools give their kinds, ``lmdb`` and ``leveldb``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vggrepro.data.leveldb_writer import new_leveldb
from vggrepro.data.lmdb_writer import new_lmdb
from vggrepro.data.sources.leveldb import LevelDbSource
from vggrepro.data.sources.lmdb import LmdbSource
from vggrepro.errors import DataError

BACKENDS = ("lmdb", "leveldb")


class DatabaseWriter(Protocol):
    """What a new database is filled with."""

    def put(self, key: bytes, value: bytes) -> None: ...


def check_backend(backend: str, what: str) -> None:
    """Raise DataError for a kind of database that is unknown."""
    if backend not in BACKENDS:
        raise DataError(f"{what}: Unknown database backend {backend!r}, expected {' or '.join(BACKENDS)}")


@contextmanager
def new_database(path: Path, backend: str) -> Iterator[DatabaseWriter]:
    """A new database of a known kind, which takes its name when the block ends without an exception. Raises
    as :func:`new_lmdb` and :func:`new_leveldb` do."""
    if backend == "leveldb":
        with new_leveldb(path) as leveldb:
            yield leveldb
    else:
        with new_lmdb(path) as lmdb:
            yield lmdb


def open_database(path: Path, backend: str) -> LmdbSource:
    """The records of a database of a known kind, in the order of their keys. Raises DataError if it is none,
    damaged, or empty."""
    return LevelDbSource.open(path) if backend == "leveldb" else LmdbSource.open(path)

"""Images in a LevelDB of Datum messages, Caffe's default database (extra ``leveldb``)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.data.sources.lmdb import LmdbSource
from vggrepro.errors import DataError
from vggrepro.system.extras import extra


def is_leveldb(path: Path) -> bool:
    """Whether ``path`` is a folder with a LevelDB inside."""
    return (path / "CURRENT").is_file() and any(path.glob("MANIFEST-*"))


@dataclass(frozen=True, eq=False)
class LevelDbFile:
    """The records of a LevelDB, by their keys in order. The library that reads them locks the folder while it
    is open, and tidies up in it, as Caffe does."""

    path: Path
    keys: Sequence[bytes]
    database: Any

    @classmethod
    def open(cls, path: Path) -> LevelDbFile:
        """Open a database. Raises DataError if it is none, damaged, locked, or plyvel is not installed."""
        if not is_leveldb(path):  # the library would begin one there
            raise DataError(f"{path}: no LevelDB")
        with _library(path) as plyvel:
            database = plyvel.DB(os.fsencode(path), create_if_missing=False)
            return cls(path, list(_keys(database)), database)

    def value(self, index: int) -> bytes:
        """The value of a record. Raises DataError where it is damaged, which its checksum tells, or gone."""
        with _library(self.path):
            value: bytes | None = self.database.get(self.keys[index], verify_checksums=True)
        if value is None:
            raise DataError(f"{self.path}: the record {self.keys[index]!r} is gone")
        return value


def _keys(database: Any) -> Iterator[bytes]:
    """All keys in order. The library's simple iterator ends without a word at a first file that is damaged;
    this one raises."""
    iterator = database.raw_iterator(verify_checksums=True)
    iterator.seek_to_first()
    while iterator.valid():
        yield iterator.key()
        iterator.next()


@contextmanager
def _library(path: Path) -> Iterator[Any]:
    """The library. What it raises within the block becomes a DataError that names the database."""
    plyvel = extra("plyvel", "leveldb", f"reading the LevelDB {path}")
    try:
        yield plyvel
    except (plyvel.Error, OSError) as error:
        problem = os.fsdecode(error.args[0]) if isinstance(error.args[0], bytes) else str(error)
        raise DataError(f"{path}: not a readable LevelDB: {problem}") from None


@dataclass(frozen=True, eq=False)
class LevelDbSource(LmdbSource):
    """The records of a LevelDB in the order of their keys, which is the order Caffe reads them in."""

    @classmethod
    def open(cls, path: Path) -> LevelDbSource:
        """Open a database and list its keys. Raises DataError if it is none, damaged, or empty."""
        records = LevelDbFile.open(path)
        if not records.keys:
            raise DataError(f"{path}: the database is empty")
        return cls(path, records)

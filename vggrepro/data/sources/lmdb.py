"""Images in an LMDB of Datum messages, as Caffe's convert_imageset writes it (extra ``lmdb``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from vggrepro.data.datum import datum_pixels, parse_datum
from vggrepro.data.decode import Pixels
from vggrepro.data.sources.base import Source
from vggrepro.errors import DataError
from vggrepro.system.extras import extra


def is_lmdb(path: Path) -> bool:
    """Whether ``path`` is a folder with an LMDB inside."""
    return (path / "data.mdb").is_file()


@dataclass(frozen=True, eq=False)
class LmdbSource(Source):
    """The records of an LMDB in the order of their keys, which is the order Caffe reads them in."""

    path: Path
    keys: tuple[bytes, ...]
    environment: Any

    @classmethod
    def open(cls, path: Path) -> LmdbSource:
        """Open a database and list its keys. Raises DataError if it is none, or empty."""
        with _naming(path):
            environment = _environment(path)
            with environment.begin() as transaction:
                keys = tuple(transaction.cursor().iternext(keys=True, values=False))
        if not keys:
            raise DataError(f"{path}: the database is empty")
        return cls(path, keys, environment)

    @property
    def name(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        return self.keys[index].decode("utf-8", "backslashreplace")

    def datum(self, index: int) -> Any:
        """The Datum message of a record."""
        with _naming(self.path), self.environment.begin() as transaction:
            value = transaction.get(self.keys[index])
        return parse_datum(value, self.place(index))

    def label(self, index: int) -> int | None:
        return int(self.datum(index).label)

    def read(self, index: int) -> bytes | Pixels:
        return datum_pixels(self.datum(index), self.place(index))


_OPEN: WeakValueDictionary[str, Any] = WeakValueDictionary()
_LOCK = Lock()


def _environment(path: Path) -> Any:
    """The open database: LMDB allows a process to open it once, so all who read it share it."""
    lmdb = extra("lmdb", "lmdb", f"reading {path}")
    place = os.path.realpath(path)
    with _LOCK:
        environment = _OPEN.get(place)
        if environment is None:
            environment = _OPEN[place] = lmdb.open(place, readonly=True, lock=False, readahead=False)
        return environment


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """LMDB's errors as DataError with the database's path."""
    try:
        yield
    except extra("lmdb", "lmdb", f"reading {path}").Error as error:
        raise DataError(f"{path}: not a readable LMDB: {error}") from error

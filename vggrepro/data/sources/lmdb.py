"""Images in an LMDB of Datum messages, as Caffe's convert_imageset writes it (extra ``lmdb``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.data.datum import datum_pixels, parse_datum
from vggrepro.data.decode import Pixels
from vggrepro.data.extras import extra
from vggrepro.data.sources.base import Source
from vggrepro.errors import DataError


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
        lmdb = extra("lmdb", "lmdb", f"reading {path}")
        try:
            environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False, max_readers=512)
            with environment.begin() as transaction:
                keys = tuple(transaction.cursor().iternext(keys=True, values=False))
        except lmdb.Error as error:
            raise DataError(f"{path}: not a readable LMDB: {error}") from error
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
        with self.environment.begin() as transaction:
            value = transaction.get(self.keys[index])
        return parse_datum(value, f"{self.path}: {self.key(index)}")

    def label(self, index: int) -> int | None:
        return int(self.datum(index).label)

    def read(self, index: int) -> bytes | Pixels:
        return datum_pixels(self.datum(index), f"{self.path}: {self.key(index)}")

    def close(self) -> None:
        """Close the database; nothing can be read afterwards."""
        self.environment.close()

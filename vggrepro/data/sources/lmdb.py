"""Images in an LMDB of Datum messages, as Caffe's convert_imageset writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vggrepro.data.datum import datum_pixels, parse_datum
from vggrepro.data.decode import Pixels
from vggrepro.data.sources.base import Source
from vggrepro.data.sources.lmdb_file import LmdbFile
from vggrepro.errors import DataError


def is_lmdb(path: Path) -> bool:
    """Whether ``path`` is a folder with an LMDB inside."""
    return (path / "data.mdb").is_file()


class Records(Protocol):
    """The keys of a database in order, and its values."""

    @property
    def keys(self) -> Sequence[bytes]: ...

    def value(self, index: int) -> bytes: ...


@dataclass(frozen=True, eq=False)
class LmdbSource(Source):
    """The records of an LMDB in the order of their keys, which is the order Caffe reads them in."""

    path: Path
    records: Records

    @classmethod
    def open(cls, path: Path) -> LmdbSource:
        """Open a database and list its keys. Raises DataError if it is none, damaged, or empty."""
        records = LmdbFile.open(path)
        if not records.keys:
            raise DataError(f"{path}: the database is empty")
        return cls(path, records)

    @property
    def name(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self.records.keys)

    def key(self, index: int) -> str:
        return self.records.keys[index].decode("utf-8", "surrogateescape")

    def datum(self, index: int) -> Any:
        """The Datum message of a record."""
        return parse_datum(self.records.value(index), self.place(index))

    def label(self, index: int) -> int | None:
        return int(self.datum(index).label)

    def read(self, index: int) -> bytes | Pixels:
        return datum_pixels(self.datum(index), self.place(index))

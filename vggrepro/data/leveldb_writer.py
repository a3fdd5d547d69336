"""New LevelDB databases, as Caffe's tools write them (extra ``leveldb``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vggrepro.errors import DataError
from vggrepro.system.extras import extra
from vggrepro.system.new_folder import new_folder

_BATCH = 1000
"""Records that are written at once."""


class LevelDbWriter:
    """Puts records into an open database of the package ``plyvel``."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._waiting: list[tuple[bytes, bytes]] = []

    def put(self, key: bytes, value: bytes) -> None:
        """Add a record; one of the same key is replaced."""
        self._waiting.append((key, value))
        if len(self._waiting) == _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what has been put so far."""
        with self._database.write_batch() as batch:
            for key, value in self._waiting:
                batch.put(key, value)
        self._waiting = []


@contextmanager
def new_leveldb(path: Path) -> Iterator[LevelDbWriter]:
    """A new database, which takes its name when the block ends without an exception.

    Raises DataError if there is something of that name already, the package is missing or LevelDB fails;
    OSError.
    """
    package = extra("plyvel", "leveldb", f"writing {path}")
    try:
        with new_folder(path) as folder:
            database = package.DB(os.fsencode(folder), create_if_missing=True, error_if_exists=True)
            try:
                writer = LevelDbWriter(database)
                yield writer
                writer.flush()
            finally:
                database.close()
    except package.Error as error:  # which names the hidden folder
        text = error.args[0]
        problem = os.fsdecode(text) if isinstance(text, bytes) else str(text)
        raise DataError(f"{path}: {problem.rpartition(': ')[2]}") from error

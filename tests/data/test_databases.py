"""Databases by the names of their kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.caffe.messages import Datum
from vggrepro.data.databases import BACKENDS, check_backend, new_database, open_database
from vggrepro.data.sources.leveldb import is_leveldb
from vggrepro.data.sources.lmdb import is_lmdb
from vggrepro.errors import DataError


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_written_is_read(tmp_path: Path, backend: str) -> None:
    pytest.importorskip({"lmdb": "lmdb", "leveldb": "plyvel"}[backend])
    with new_database(tmp_path / "db", backend) as writer:
        for label in (4, 2):
            writer.put(f"{label:08d}".encode(), Datum(label=label).SerializeToString())
    source = open_database(tmp_path / "db", backend)
    assert [source.datum(index).label for index in range(len(source))] == [2, 4]
    assert (is_lmdb(tmp_path / "db"), is_leveldb(tmp_path / "db")) == (backend == "lmdb", backend != "lmdb")
    other = next(name for name in BACKENDS if name != backend)
    with pytest.raises(DataError, match=f"{tmp_path / 'db'}: "):
        open_database(tmp_path / "db", other)


def test_unknown_kinds() -> None:
    for backend in BACKENDS:
        check_backend(backend, "tool")
    with pytest.raises(DataError, match="tool: Unknown database backend 'LMDB', expected lmdb or leveldb"):
        check_backend("LMDB", "tool")

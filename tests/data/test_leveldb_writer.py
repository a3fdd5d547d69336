"""New LevelDBs, read with the package's own reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.data.leveldb_writer import new_leveldb
from vggrepro.data.sources.leveldb import LevelDbFile
from vggrepro.errors import DataError

plyvel = pytest.importorskip("plyvel")


def test_many_records(tmp_path: Path) -> None:
    records = {f"{number:08d}".encode(): bytes([number % 256]) * 5000 for number in range(2100)}
    with new_leveldb(tmp_path / "db") as writer:
        for key, value in reversed(records.items()):
            writer.put(key, value)
        writer.put(b"00000007", b"the second of its key")
    found = LevelDbFile.open(tmp_path / "db")
    assert found.keys == sorted(records)
    assert all(found.value(index) == records[key] for index, key in enumerate(found.keys) if index != 7)
    assert found.value(7) == b"the second of its key"


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    with new_leveldb(tmp_path / "\udcff") as writer:
        writer.put(b"k" * 600, b"value")
    assert LevelDbFile.open(tmp_path / "\udcff").keys == [b"k" * 600]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_leveldb(tmp_path / "db") as writer:
        writer.put(b"key", b"value")
        raise KeyError
    with pytest.raises(DataError, match=r"db: No space left on device$"), new_leveldb(tmp_path / "db"):
        raise plyvel.IOError(b"IO error: /hidden/000003.log: No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_and_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_leveldb(tmp_path / "db"):
        pass
    with pytest.raises(DataError, match="db: exists already"), new_leveldb(tmp_path / "db"):
        pass
    monkeypatch.setitem(__import__("sys").modules, "plyvel", None)
    with pytest.raises(DataError, match=r"vggrepro\[leveldb\]"), new_leveldb(tmp_path / "other"):
        pass

"""New databases, read with the package's own reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.data import lmdb_writer
from vggrepro.data.lmdb_writer import new_lmdb
from vggrepro.data.sources.lmdb_file import LmdbFile
from vggrepro.errors import DataError

lmdb = pytest.importorskip("lmdb")


def test_many_records_in_a_map_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_writer, "_MAP_SIZE", 1 << 16)
    records = {f"{number:08d}".encode(): bytes([number % 256]) * 500 for number in range(2100)}
    with new_lmdb(tmp_path / "db") as writer:
        for key, value in records.items():
            writer.put(key, value)
    found = LmdbFile.open(tmp_path / "db")
    assert {key: bytes(found.value(index)) for index, key in enumerate(found.keys)} == records


def test_names_that_are_long_and_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / ("\udcff" + "\U0001d538" * 60)
    with new_lmdb(path) as writer:
        writer.put(b"key", b"value")
    assert LmdbFile.open(path).keys == (b"key",)


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_lmdb(tmp_path / "db") as writer:
        writer.put(b"key", b"value")
        raise KeyError
    with (
        pytest.raises(DataError, match="600 bytes, LMDB takes 1 to 511"),
        new_lmdb(tmp_path / "db") as writer,
    ):
        writer.put(b"k" * 600, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_may_be_what_lmdb_calls_an_error_of_the_disk(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"db: Input/output error, or the disk is full$"),
        new_lmdb(tmp_path / "db"),
    ):
        raise lmdb.Error("mdb_txn_commit: Input/output error")
    assert list(tmp_path.iterdir()) == []


def test_failures_name_the_database_and_not_the_hidden_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, new_lmdb(tmp_path / "absent" / "db"):
        pass
    assert caught.value.filename == str(tmp_path / "absent" / "db")
    with (
        pytest.raises(DataError, match=f"^{tmp_path / 'db'}: No space left on device$"),
        new_lmdb(tmp_path / "db"),
    ):
        raise lmdb.DiskError("mdb_put: No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_no_lock_is_taken_which_a_full_disk_would_make_fatal(tmp_path: Path) -> None:
    with new_lmdb(tmp_path / "db") as writer:
        writer.put(b"key", b"value")
    assert [path.name for path in (tmp_path / "db").iterdir()] == ["data.mdb"]
    with lmdb.open(str(tmp_path / "db"), readonly=True) as environment, environment.begin() as transaction:
        assert transaction.get(b"key") == b"value"


def test_existing_names(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("")
    with pytest.raises(DataError, match="db: exists already"), new_lmdb(tmp_path / "db"):
        pass


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(DataError, match=r"vggrepro\[lmdb\]"), new_lmdb(tmp_path / "db"):
        pass

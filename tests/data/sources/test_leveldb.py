"""LevelDBs of Datums, read as LMDBs are."""

from pathlib import Path

import numpy as np
import pytest

from vggrepro.caffe.messages import TEST, Datum
from vggrepro.caffe.text import parse_net
from vggrepro.data.feeds import open_feed
from vggrepro.data.sources import LmdbSource, open_images
from vggrepro.data.sources.leveldb import LevelDbFile, LevelDbSource, is_leveldb
from vggrepro.errors import DataError

GOLDEN = Path(__file__).parents[2] / "golden"


def write(path, values):
    plyvel = pytest.importorskip("plyvel")
    database = plyvel.DB(str(path), create_if_missing=True)
    for index, value in enumerate(values):
        database.put(f"{index:08d}".encode(), value)
    database.close()
    return path


def test_records_are_those_of_the_lmdb(tmp_path):
    lmdb = open_images(GOLDEN / "lmdb" / "raw_lmdb")
    assert isinstance(lmdb, LmdbSource)
    path = write(tmp_path / "db", [lmdb.records.value(i) for i in range(len(lmdb))])
    source = open_images(path)
    assert isinstance(source, LevelDbSource)
    assert [source.label(i) for i in range(len(source))] == [lmdb.label(i) for i in range(len(lmdb))]
    np.testing.assert_array_equal(source.decoded(3).pixels, lmdb.decoded(3).pixels)


def test_a_data_layer_reads_its_default_database(tmp_path):
    datum = Datum(channels=1, height=1, width=2, data=b"\x03\x05", label=7).SerializeToString()
    write(tmp_path / "db", [datum])
    (layer,) = parse_net(
        'layer { name: "d" type: "Data" top: "x" top: "l" data_param { source: "db" batch_size: 2 } }'
    ).layer
    batch = open_feed(layer, TEST, folder=tmp_path).batch(0)
    assert batch["x"].tolist() == [[[[3, 5]]]] * 2
    assert batch["l"].ravel().tolist() == [7, 7]


def test_an_empty_and_a_damaged_database(tmp_path):
    with pytest.raises(DataError, match="the database is empty"):
        open_images(write(tmp_path / "empty", []))
    path = write(tmp_path / "db", [b"x"])
    (path / "CURRENT").write_text("MANIFEST-999999\n")
    with pytest.raises(DataError, match="not a readable LevelDB"):
        open_images(path)


def write_table(path):
    """A database whose records have gone from the log to a table; the table's file."""
    plyvel = pytest.importorskip("plyvel")
    database = plyvel.DB(str(write(path, [bytes(1000)] * 40)), compression=None)
    database.compact_range()
    database.close()
    (table,) = path.glob("*.ldb")
    return table


def test_a_table_that_was_cut_is_no_empty_database(tmp_path):
    table = write_table(tmp_path / "db")
    table.write_bytes(table.read_bytes()[:20_000])
    with pytest.raises(DataError, match=r"db: not a readable LevelDB: .*\.ldb"):
        open_images(tmp_path / "db")


def test_what_checksums_tell_is_no_record(tmp_path):
    table = write_table(tmp_path / "db")
    good = table.read_bytes()
    table.write_bytes(good[:10_000] + b"\x01" + good[10_001:])
    with pytest.raises(DataError, match="db: not a readable LevelDB: Corruption: block checksum mismatch"):
        open_images(tmp_path / "db")


def test_a_record_that_is_damaged_later_is_told_when_it_is_read(tmp_path):
    path = tmp_path / "db"
    table = write_table(path)
    good = table.read_bytes()
    table.write_bytes(good[:10_000] + b"\x01" + good[10_001:])
    database = pytest.importorskip("plyvel").DB(str(path))
    records = LevelDbFile(path, [b"00000000", b"00000009", b"x"], database)
    assert records.value(0) == bytes(1000)
    with pytest.raises(DataError, match="db: not a readable LevelDB: Corruption: block checksum mismatch"):
        records.value(1)
    with pytest.raises(DataError, match="db: the record b'x' is gone"):
        records.value(2)


def test_a_name_that_is_no_utf8(tmp_path):
    path = write(tmp_path / "db", [b"x"]).rename(tmp_path / "d\udcff")
    assert open_images(path).records.value(0) == b"x"
    (path / "CURRENT").write_text("MANIFEST-999999\n")
    with pytest.raises(DataError, match="d\udcff: not a readable LevelDB: "):
        open_images(path)


def test_without_the_package_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "CURRENT").write_text("MANIFEST-000002\n")
    (tmp_path / "MANIFEST-000002").write_bytes(b"")
    assert is_leveldb(tmp_path)
    assert not is_leveldb(tmp_path / "CURRENT")
    monkeypatch.setitem(__import__("sys").modules, "plyvel", None)
    with pytest.raises(DataError, match=r'pip install "vggrepro\[leveldb\]"'):
        open_images(tmp_path)

"""Databases of Datums: what they hold, and what they say when they are damaged."""

from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import Datum
from vggrepro.data.decode import decode
from vggrepro.data.sources import (
    LmdbSource,
    open_images,
)
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("kind", ["raw", "encoded", "encoded_asis", "grey"])
def test_lmdb_holds_the_listed_pictures(kind):
    source = open_images(GOLDEN / "lmdb" / f"{kind}_lmdb")
    entries = read_list(GOLDEN / "lmdb" / "list.txt")
    assert [source.key(i) for i in range(len(source))] == [f"{i:08d}_{k}" for i, (k, _) in enumerate(entries)]
    assert [source.label(i) for i in range(len(source))] == [label for _, label in entries]
    pixels = source.decoded(5, grey=kind == "grey").pixels
    if kind == "encoded_asis":
        file = GOLDEN / "lmdb" / entries[5][0]
        assert_array_equal(pixels, decode(file.read_bytes(), "p").pixels)
    else:
        assert pixels.shape == (24, 28, 1 if kind == "grey" else 3)


def test_damaged_lmdb(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match="not a readable LMDB"):
        open_images(tmp_path)


def write_lmdb(path: Path, values: list[bytes]) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
        for number, value in enumerate(values):
            transaction.put(f"{number:08d}".encode(), value)
    return path


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"\xff\xff\xff", "is not a Datum"),
        (Datum(channels=3, height=2, width=2, data=b"1234").SerializeToString(), "holds 4 uint8 values"),
        (Datum(channels=1, height=1, width=2, float_data=[1, 2]).SerializeToString(), "no image"),
        (Datum(encoded=True, data=b"junk").SerializeToString(), "Could not open or find file"),
    ],
)
def test_values_that_hold_no_image(tmp_path, value, message):
    source = LmdbSource.open(write_lmdb(tmp_path / "db", [value]))
    with pytest.raises(DataError, match=f"00000000: .*{message}"):
        source.decoded(0)


def test_empty_lmdb(tmp_path):
    with pytest.raises(DataError, match="the database is empty"):
        open_images(write_lmdb(tmp_path / "db", []))


def test_an_lmdb_is_read_without_lmdb_s_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    assert len(open_images(GOLDEN / "lmdb" / "raw_lmdb")) > 0

"""convert_imageset against the databases that Caffe's own tool wrote."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from caffe_nets import caffe, messages
from golden_suite import ROOT

from vggrepro.caffe.messages import Datum
from vggrepro.data.sources.leveldb import LevelDbSource
from vggrepro.data.sources.lmdb import LmdbSource
from vggrepro.data.sources.lmdb_file import LmdbFile

pytest.importorskip("lmdb")
GOLDEN = ROOT / "lmdb"
FLAGS = json.loads((GOLDEN / "case.json").read_text())["databases"]


@pytest.mark.parametrize("name", FLAGS)
def test_records_are_caffes(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = [f"{GOLDEN}/", str(GOLDEN / "list.txt"), str(tmp_path / "db")]
    assert caffe("convert_imageset", *FLAGS[name], *words) == 0
    assert messages(capfd.readouterr().err) == ["A total of 12 images.", "Processed 12 files."]
    ours, theirs = LmdbFile.open(tmp_path / "db"), LmdbFile.open(GOLDEN / name)
    assert ours.keys == theirs.keys
    for index in range(12):
        mine, other = ours.value(index), theirs.value(index)
        if "--encode_type=png" in FLAGS[name]:  # the file depends on the library that encodes
            mine, other = pixels(mine), pixels(other)
        assert mine == other


def pixels(value: bytes) -> bytes:
    datum = Datum.FromString(value)
    assert (datum.encoded, datum.HasField("channels")) == (True, False)
    image = cv2.imdecode(np.frombuffer(datum.data, np.uint8), cv2.IMREAD_UNCHANGED)
    return bytes([datum.label]) + image.tobytes()


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """A folder with a list of two images of different sizes, a file that is no image, and one that is not
    there."""
    for name, size in (("a.png", 5), ("b.png", 7)):
        cv2.imwrite(str(tmp_path / name), np.full((size, 4, 3), 9, np.uint8))
    (tmp_path / "c.png").write_text("no image")
    (tmp_path / "list.txt").write_text("a.png 3\nc.png 1\nd.png 2\nb.png 4\n")
    return tmp_path


def run(folder: Path, *flags: str) -> int:
    return caffe("convert_imageset", *flags, f"{folder}/", str(folder / "list.txt"), str(folder / "db"))


def test_unreadable_images_are_left_out(listing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(listing, "-resize_height=3") == 0
    told = capfd.readouterr().err
    assert "warning: left out: " in told and "d.png: Could not open or find file" in told
    source = LmdbSource.open(listing / "db")
    assert [source.key(index) for index in range(len(source))] == ["00000000_a.png", "00000003_b.png"]
    assert [(source.datum(i).height, source.datum(i).label) for i in range(2)] == [(5, 3), (7, 4)]


def test_a_leveldb_has_the_records_of_the_lmdb(listing: Path) -> None:
    pytest.importorskip("plyvel")
    assert run(listing) == 0
    lmdb = LmdbSource.open((listing / "db").rename(listing / "lmdb"))
    assert run(listing, "--backend=leveldb") == 0
    leveldb = LevelDbSource.open(listing / "db")
    assert [leveldb.key(index) for index in range(len(leveldb))] == ["00000000_a.png", "00000003_b.png"]
    assert [leveldb.datum(index) for index in range(2)] == [lmdb.datum(index) for index in range(2)]


def test_shuffling_keeps_labels(listing: Path) -> None:
    (listing / "list.txt").write_text("".join(f"a.png {label}\n" for label in range(40)))
    assert run(listing, "-shuffle", "-gray") == 0
    source = LmdbSource.open(listing / "db")
    labels = [source.datum(index).label for index in range(40)]
    assert sorted(labels) == list(range(40)) != labels
    assert source.datum(0).channels == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-check_size"], "b.png: Incorrect data field size 84 (expected 60)"),
        (["-backend", "level"], "convert_imageset: Unknown database backend 'level', expected lmdb or"),
        (["-encode_type=nothing"], "a.png: cannot be encoded as 'nothing'"),
        (["-encode=true"], "unknown command line flag 'encode'"),
    ],
)
def test_refusals_leave_nothing(
    flags: list[str], message: str, listing: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(listing.iterdir())
    assert run(listing, *flags) == 2
    assert message in capfd.readouterr().err
    assert sorted(listing.iterdir()) == before


def test_a_database_is_not_replaced(listing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (listing / "db").mkdir()
    assert run(listing) == 2
    assert "db: exists already" in capfd.readouterr().err
    assert caffe("convert_imageset", "a", "b") == 2
    assert "got 2 of 3 arguments" in capfd.readouterr().err

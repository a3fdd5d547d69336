"""convert_mnist_data: idx files to Datums under their numbers."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from caffe_nets import caffe, messages

from vggrepro.data.datum import bare_array
from vggrepro.data.sources.leveldb import LevelDbSource
from vggrepro.data.sources.lmdb import LmdbSource

pytest.importorskip("lmdb")

IMAGES = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "images").write_bytes(struct.pack(">IIII", 2051, 3, 5, 4) + IMAGES.tobytes())
    (tmp_path / "labels").write_bytes(struct.pack(">II", 2049, 3) + bytes([7, 0, 9]))
    return [str(tmp_path / name) for name in ("images", "labels", "db")]


def test_records(files: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("convert_mnist_data", *files, "--backend=lmdb") == 0
    said = messages(capfd.readouterr().err)
    assert said == ["A total of 3 items.", "Rows: 5 Cols: 4", "Processed 3 files."]
    source = LmdbSource.open(Path(files[2]))
    assert [source.key(index) for index in range(3)] == ["00000000", "00000001", "00000002"]
    assert [source.datum(index).label for index in range(3)] == [7, 0, 9]
    for index in range(3):
        np.testing.assert_array_equal(bare_array(source.datum(index), "")[0], IMAGES[index])
    assert not source.datum(0).HasField("encoded")


def test_a_leveldb(files: list[str]) -> None:
    pytest.importorskip("plyvel")
    assert caffe("convert_mnist_data", *files, "--backend=leveldb") == 0
    source = LevelDbSource.open(Path(files[2]))
    assert [(source.key(i), source.datum(i).label) for i in range(3)] == [
        ("00000000", 7),
        ("00000001", 0),
        ("00000002", 9),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("images", b"\0\0\x08\x01" + b"\0" * 20, "Incorrect file magic: 2049, expected 2051 for 3 axes"),
        ("images", struct.pack(">IIII", 2051, 3, 5, 4), r"0 bytes behind the head, which says (3, 5, 4)"),
        ("labels", struct.pack(">II", 2049, 2) + b"ab", "2 labels, but"),
        ("labels", b"", "Incorrect file magic: 0"),
    ],
)
def test_damage(
    name: str, content: bytes, message: str, files: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    Path(files[0]).with_name(name).write_bytes(content)
    assert caffe("convert_mnist_data", *files) == 2
    assert message in capfd.readouterr().err
    assert not Path(files[2]).exists()

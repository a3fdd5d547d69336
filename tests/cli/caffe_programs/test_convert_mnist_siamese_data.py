"""convert_mnist_siamese_data: pairs of images as two channels, and whether their labels are equal."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from caffe_nets import caffe, messages

from vggrepro.data.datum import bare_array
from vggrepro.data.sources.leveldb import LevelDbSource
from vggrepro.errors import DataError

pytest.importorskip("plyvel")

COUNT = 40
IMAGES = np.random.default_rng(0).permutation(COUNT * 20).astype(np.uint8).reshape(COUNT, 5, 4)
LABELS = (np.arange(COUNT) % 3).astype(np.uint8)


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> list[str]:
    head = struct.pack(">IIII", 2051, *images.shape)
    (folder / "images").write_bytes(head + images.tobytes())
    (folder / "labels").write_bytes(struct.pack(">II", 2049, len(labels)) + labels.tobytes())
    return [str(folder / name) for name in ("images", "labels", "db")]


def test_pairs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path, IMAGES, LABELS)
    assert caffe("convert_mnist_siamese_data", *files) == 0
    assert messages(capfd.readouterr().err) == [f"A total of {COUNT} items.", "Rows: 5 Cols: 4"]
    source = LevelDbSource.open(Path(files[2]))
    assert [source.key(index) for index in range(COUNT)] == [f"{index:08d}" for index in range(COUNT)]
    numbers, equal = [], []
    for index in range(COUNT):
        datum = source.datum(index)
        pair = bare_array(datum, "")
        assert pair.shape == (2, 5, 4)
        found = [int(np.flatnonzero((image == IMAGES).all(axis=(1, 2)))[0]) for image in pair]
        assert datum.label == int(LABELS[found[0]] == LABELS[found[1]])
        numbers += found
        equal.append(datum.label)
    assert len(set(numbers)) > COUNT // 2 and set(equal) == {0, 1}


def test_no_images(tmp_path: Path) -> None:
    files = write(tmp_path, IMAGES[:0], LABELS[:0])
    assert caffe("convert_mnist_siamese_data", *files) == 0
    with pytest.raises(DataError, match="the database is empty"):
        LevelDbSource.open(Path(files[2]))


def test_mistakes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path, IMAGES, LABELS[1:])
    assert caffe("convert_mnist_siamese_data", *files) == 2
    assert f"{COUNT - 1} labels, but" in capfd.readouterr().err
    assert caffe("convert_mnist_siamese_data", files[0]) == 2
    assert "got 1 arguments" in capfd.readouterr().err
    assert not Path(files[2]).exists()

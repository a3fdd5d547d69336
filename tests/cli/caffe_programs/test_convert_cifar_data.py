"""convert_cifar_data: CIFAR-10's batches to two databases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_nets import caffe

from vggrepro.data.datum import bare_array
from vggrepro.data.sources.leveldb import LevelDbSource
from vggrepro.data.sources.lmdb import LmdbSource

pytest.importorskip("lmdb")

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 2, 3, 32, 32)).astype(np.uint8)
NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    """Two images in each file, of the classes 2 n and 2 n + 1 of file n."""
    for number, (name, images) in enumerate(zip(NAMES, IMAGES, strict=True)):
        records = [bytes([2 * number + index]) + image.tobytes() for index, image in enumerate(images)]
        (tmp_path / name).write_bytes(b"".join(records))
    return tmp_path


def test_databases(batches: Path) -> None:
    assert caffe("convert_cifar_data", str(batches), str(batches), "lmdb") == 0
    train = LmdbSource.open(batches / "cifar10_train_lmdb")
    assert [train.key(index) for index in (0, 1, 2, 9)] == ["00000", "00001", "10000", "40001"]
    assert [train.datum(index).label for index in range(10)] == list(range(10))
    np.testing.assert_array_equal(bare_array(train.datum(5), ""), IMAGES[2, 1])
    test = LmdbSource.open(batches / "cifar10_test_lmdb")
    assert len(test) == 2 and test.datum(1).label == 11


def test_leveldbs(batches: Path) -> None:
    pytest.importorskip("plyvel")
    assert caffe("convert_cifar_data", str(batches), str(batches), "leveldb") == 0
    for name, count in (("train", 10), ("test", 2)):
        assert len(LevelDbSource.open(batches / f"cifar10_{name}_leveldb")) == count


def test_errors(batches: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("convert_cifar_data", str(batches), str(batches), "hdf5") == 2
    assert "convert_cifar_data: Unknown database backend 'hdf5'" in capfd.readouterr().err
    (batches / NAMES[3]).write_bytes(b"x" * 3074)
    assert caffe("convert_cifar_data", str(batches), str(batches), "lmdb") == 2
    assert "3074 bytes, expected up to 10000 records of 3073 bytes" in capfd.readouterr().err
    assert not (batches / "cifar10_train_lmdb").exists()

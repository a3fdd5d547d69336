"""compute_image_mean against the file that Caffe's own tool wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_nets import caffe, messages
from golden_suite import ROOT

from vggrepro.caffe.binary import read_blob
from vggrepro.caffe.messages import Datum
from vggrepro.data.leveldb_writer import new_leveldb
from vggrepro.data.lmdb_writer import new_lmdb
from vggrepro.data.sources.lmdb import LmdbSource

GOLDEN = ROOT / "lmdb"


def test_the_file_is_caffes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "mean.binaryproto"
    assert caffe("compute_image_mean", "-backend=lmdb", str(GOLDEN / "raw_lmdb"), str(output)) == 0
    assert output.read_bytes() == (GOLDEN / "mean.binaryproto").read_bytes()
    lines = messages(capfd.readouterr().err)
    assert "Processed 12 files." in lines and "Number of channels: 3" in lines
    means = [float(line.split(": ")[1]) for line in lines if line.startswith("mean_value channel [")]
    assert means == pytest.approx(read_blob(output)[0].mean(axis=(1, 2)).tolist(), rel=1e-5)


def test_a_leveldb(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("plyvel")
    source = LmdbSource.open(GOLDEN / "raw_lmdb")
    with new_leveldb(tmp_path / "db") as writer:
        for index in range(len(source)):
            writer.put(source.key(index).encode(), source.datum(index).SerializeToString())
    words = [str(tmp_path / "db"), str(tmp_path / "mean.binaryproto")]
    assert caffe("compute_image_mean", *words, "--backend=leveldb") == 0
    assert (tmp_path / "mean.binaryproto").read_bytes() == (GOLDEN / "mean.binaryproto").read_bytes()
    capfd.readouterr()
    assert caffe("compute_image_mean", str(GOLDEN / "raw_lmdb"), "-backend", "leveldb") == 2
    assert "raw_lmdb: no LevelDB" in capfd.readouterr().err


def test_floats_are_added_one_after_another(tmp_path: Path) -> None:
    """In float32, 2^24 and twice 1 are 2^24: 1 is lost each time."""
    pytest.importorskip("lmdb")
    with new_lmdb(tmp_path / "db") as writer:
        for number, value in enumerate((2.0**24, 1.0, 1.0)):
            datum = Datum(channels=1, height=1, width=1, float_data=[value])
            writer.put(str(number).encode(), datum.SerializeToString())
    assert caffe("compute_image_mean", str(tmp_path / "db"), str(tmp_path / "m.binaryproto")) == 0
    mean = read_blob(tmp_path / "m.binaryproto")
    assert mean.item() == np.float32(2.0**24) / np.float32(3)


def test_encoded_images_and_errors(capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("compute_image_mean", str(GOLDEN / "encoded_lmdb")) == 0
    capfd.readouterr()
    assert caffe("compute_image_mean", str(GOLDEN / "encoded_asis_lmdb")) == 2
    assert "Incorrect data field size" in capfd.readouterr().err
    assert caffe("compute_image_mean", "-backend=rocksdb", "x") == 2
    assert "compute_image_mean: Unknown database backend 'rocksdb'" in capfd.readouterr().err
    assert caffe("compute_image_mean", str(GOLDEN / "encoded_lmdb"), "m.binaryproto/") == 2
    assert "m.binaryproto/: the name of a folder" in capfd.readouterr().err
    assert caffe("compute_image_mean") == 2
    assert "usage: compute_image_mean [FLAGS] INPUT_DB [OUTPUT_FILE]; got 0" in capfd.readouterr().err

"""extract_features: blobs of several batches, as Caffe's Datums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_nets import caffe, messages
from golden_suite import ROOT
from numpy.testing import assert_array_equal

import vggrepro.pycaffe as module
from vggrepro.data.datum import bare_array
from vggrepro.data.sources.leveldb import LevelDbSource
from vggrepro.data.sources.lmdb import LmdbSource

pytest.importorskip("lmdb")

NET = f"""
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "{ROOT / "lmdb" / "raw_lmdb"}" batch_size: 5 backend: LMDB }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {{
  num_output: 2 kernel_size: 9 stride: 5 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param {{
  num_output: 3 weight_filler {{ type: "gaussian" std: 0.1 }} }} }}
"""


@pytest.fixture
def files(brewing: Path) -> Path:
    (brewing / "f.prototxt").write_text(NET)
    module.Net("f.prototxt", module.TEST).save("w.caffemodel")
    return brewing


def test_databases(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["w.caffemodel", "f.prototxt", "conv,ip", "a,b", "3", "lmdb", "CPU"]
    assert caffe("extract_features", *words) == 0
    assert "Extracted features of 15 query images for feature blob ip" in messages(capfd.readouterr().err)
    net = module.Net("f.prototxt", module.TEST, weights="w.caffemodel")
    blobs: dict[str, list[np.ndarray]] = {"conv": [], "ip": []}
    for _ in range(3):
        net.forward()
        for name, rows in blobs.items():
            rows.extend(net.blobs[name].data.copy())
    for name, path, shape in (("conv", "a", (2, 4, 4)), ("ip", "b", (3, 1, 1))):
        source = LmdbSource.open(files / path)
        assert [source.key(index) for index in (0, 14)] == ["0000000000", "0000000014"]
        found = [bare_array(source.datum(index), "") for index in range(len(source))]
        assert found[0].shape == shape and not source.datum(0).HasField("label")
        assert_array_equal(np.stack(found), np.stack(blobs[name]).reshape(15, *shape))


def test_a_leveldb(files: Path) -> None:
    pytest.importorskip("plyvel")
    for backend in ("lmdb", "leveldb"):
        assert caffe("extract_features", "w.caffemodel", "f.prototxt", "ip", backend, "2", backend) == 0
    lmdb, leveldb = LmdbSource.open(files / "lmdb"), LevelDbSource.open(files / "leveldb")
    assert len(lmdb) == len(leveldb) == 10
    assert all((leveldb.key(i), leveldb.datum(i)) == (lmdb.key(i), lmdb.datum(i)) for i in range(10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({2: "conv,fc7", 3: "a,b"}, "Unknown feature blob name fc7 in the network f.prototxt"),
        ({2: "conv,ip"}, "the number of blob names and dataset names must be equal: 2 and 1"),
        ({4: "many"}, "number of mini-batches 'many'"),
        ({5: "csv"}, "extract_features: Unknown database backend 'csv'"),
        ({6: "TPU"}, "device 'TPU': expected CPU, or GPU and a number"),
    ],
)
def test_errors(change: dict[int, str], message: str, files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["w.caffemodel", "f.prototxt", "conv", "a", "3", "lmdb", "CPU"]
    before = sorted(files.iterdir())
    assert caffe("extract_features", *(change.get(index, word) for index, word in enumerate(words))) == 2
    assert message in capfd.readouterr().err
    assert sorted(files.iterdir()) == before

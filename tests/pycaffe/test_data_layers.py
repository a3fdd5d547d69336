"""Nets that read their data themselves, against what Caffe's layers gave."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT
from nets import make, write
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe

FOLDER = ROOT / "lmdb"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the suite's databases as working directory: Caffe takes relative names from there."""
    shutil.copytree(FOLDER, tmp_path / "lmdb")
    monkeypatch.chdir(tmp_path / "lmdb")
    return tmp_path / "lmdb"


CASE = json.loads((FOLDER / "case.json").read_text())


@pytest.mark.parametrize("name", CASE["data_layer"])
def test_data(here: Path, name: str) -> None:
    pytest.importorskip("lmdb")
    case, golden = CASE["data_layer"][name], np.load(here / "data_layer.npz")
    net = make(
        here,
        f'layer {{ name: "d" type: "Data" top: "data" top: "label" transform_param {{ '
        f"{case['transform_param']}"
        " }"
        f' data_param {{ source: "{case["db"]}" backend: LMDB batch_size: {case["batch_size"]} }} }}'
        'layer { name: "p" type: "Power" bottom: "data" top: "twice" power_param { scale: 2 } }',
    )
    assert net.inputs == []
    for iteration in range(case["batches"]):
        net.forward()
        expected = golden[f"data:{name}"][iteration]
        assert_allclose(net.blobs["data"].data, expected, rtol=1e-6, atol=1e-4)
        assert_allclose(net.blobs["twice"].data, 2.0 * expected, rtol=1e-6, atol=1e-4)
        assert_array_equal(net.blobs["label"].data, golden[f"label:{name}"][iteration])


def test_hdf5_data(here: Path) -> None:
    pytest.importorskip("h5py")
    golden = np.load(here / "hdf5_layer.npz")
    net = make(
        here,
        'layer { name: "d" type: "HDF5Data" top: "data" top: "label"'
        ' hdf5_data_param { source: "h5list.txt" batch_size: 4 } }',
    )
    for iteration in range(CASE["hdf5"]["batches"]):
        out = net.forward()
        assert_array_equal(out["data"], golden["data"][iteration])
        assert_array_equal(out["label"], golden["label"][iteration])


def test_memory_data(here: Path) -> None:
    golden = np.load(here / "memory_layer.npz")
    net = make(here, (here / "memory_net.prototxt").read_text())
    net.set_input_arrays(golden["source_data"], golden["source_label"])
    for iteration in range(CASE["memory"]["batches"]):
        out = net.forward()
        assert_array_equal(out["data"], golden["data"][iteration])
        assert_array_equal(out["label"], golden["label"][iteration])


def test_image_data(here: Path) -> None:
    """Images of their own sizes, one at a time: the net follows."""
    net = make(
        here,
        'layer { name: "d" type: "ImageData" top: "data" top: "label" image_data_param {'
        ' source: "list.txt" root_folder: "./" batch_size: 1 } }'
        'layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"'
        " pooling_param { global_pooling: true } }",
    )
    shapes = set()
    for _ in range(12):
        out = net.forward(blobs=["data"])
        shapes.add(out["data"].shape)
        assert_allclose(out["pool"].ravel(), out["data"].max((0, 2, 3)), rtol=1e-6)
    assert len(shapes) > 1


def test_what_cannot_be_read(here: Path) -> None:
    with pytest.raises(RuntimeError, match=r"layer 'd'.*LEVELDB"):
        make(
            here, 'layer { name: "d" type: "Data" top: "d" data_param { source: "raw_lmdb" batch_size: 1 } }'
        )
    with pytest.raises(RuntimeError, match="nowhere"):
        make(
            here,
            'layer { name: "d" type: "Data" top: "d" data_param {'
            ' source: "nowhere" backend: LMDB batch_size: 1 } }',
        )


def test_a_solver_reads_its_data(here: Path) -> None:
    pytest.importorskip("lmdb")
    data = (
        'layer { name: "d" type: "Data" top: "data" top: "label" transform_param { scale: 0.01 }'
        ' data_param { source: "raw_lmdb" backend: LMDB batch_size: 5 } }'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param {'
        ' num_output: 12 weight_filler { type: "xavier" } } }'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
    )
    write(here, data, "train.prototxt")
    file = write(here, 'net: "train.prototxt" base_lr: 0.01 lr_policy: "fixed"', "solver.prototxt")
    solver = caffe.SGDSolver(file)
    solver.step(1)
    first = float(solver.net.blobs["loss"].data)
    solver.step(40)
    assert solver.net.blobs["loss"].data < first / 2

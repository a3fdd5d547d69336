"""Solvers that a script defines by attributes, and nets with several MemoryData layers: naibaf7/caffe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nets import write
from numpy.testing import assert_array_equal

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe import mode

TWO_INPUTS = """
layer { name: "data" type: "MemoryData" top: "data" memory_data_param { dim: 1 dim: 2 dim: 7 } }
layer { name: "label" type: "MemoryData" top: "label" memory_data_param { dim: 1 dim: 3 dim: 5 }
  include { phase: TRAIN stage: "distance" } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 3
  kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "conv" bottom: "label" include { phase: TRAIN } }
"""
rng = np.random.default_rng(5)


class OwnParameters(caffe.SolverParameter):
    """A script's, with an attribute that Caffe does not know."""


def parameters(folder: Path) -> OwnParameters:
    solver = OwnParameters()
    solver.train_net = write(folder, TWO_INPUTS)
    solver.base_lr, solver.lr_policy, solver.type, solver.max_iter = 0.1, "fixed", "Adam", 9
    solver.resume_from = None
    solver.train_state.add_stage("distance")
    return solver


def fill(net: caffe.Net) -> None:
    """As gunpowder does: every MemoryData layer gets an array of its top's shape."""
    for layer in net.layers:
        if layer.type == "MemoryData":
            assert layer.layer_param.top_size == 1 and layer.layer_param.bottom_size == 0
            blob = net.blobs[layer.layer_param.get_top(0)]
            net.set_layer_input_arrays(layer, rng.normal(size=blob.data.shape).astype(np.float32), None)


def test_a_solver_of_attributes(tmp_path: Path) -> None:
    solver = caffe.get_solver(parameters(tmp_path))
    assert isinstance(solver, caffe.AdamSolver) and solver.max_iter == 9
    assert list(solver.net.layers_dict) == ["data", "label", "conv", "loss"]
    for _ in range(2):
        fill(solver.net)
        loss = solver.step(1)
        distance = solver.net.blobs["conv"].data - solver.net.blobs["label"].data
        assert loss == pytest.approx(np.square(distance).sum() / 2, rel=1e-5)
    assert solver.step(0) == 0


def test_attributes_and_stages(tmp_path: Path) -> None:
    solver = parameters(tmp_path)
    assert solver.resume_from is None and solver.type == "Adam" and solver.gamma == 0
    state = solver.train_state
    state.set_stage(0, "other")
    state.level = 2
    assert (state.stage_size(), state.get_stage(0), solver.message.train_state.level) == (1, "other", 2)
    state.clear_stage()
    assert solver.train_state.stage_size() == 0
    solver.train_state = caffe.NetState()
    assert not solver.message.train_state.HasField("level")
    with pytest.raises(AttributeError):
        _ = solver.nonsense


def test_layers_by_number_and_by_name(tmp_path: Path) -> None:
    """Labels, which these layers have no top for, are passed over."""
    net = caffe.get_solver(parameters(tmp_path)).net
    data, label = np.ones((2, 2, 7), np.float32), np.ones((1, 3, 5), np.float32)
    net.set_input_arrays(0, data, np.zeros(1, np.float32))
    net.set_input_arrays(label, None, "label")
    net.set_input_arrays("label", label, None)
    net.forward()
    assert_array_equal(net.blobs["label"].data, 1)
    for layer, array, message in (
        (0, data[:, :, :-1].copy(), "data array has wrong size of axis 2: 6, expected 7"),
        (0, data[0], "data array must be 3-d"),
        ("none", data, "the net has no layer 'none'"),
        (9, data, "the net has no layer 9"),
        ("conv", data, "layer 'conv' is Convolution"),
    ):
        with pytest.raises(RuntimeError, match=message):
            net.set_input_arrays(array, None, layer)


def test_labels_have_the_axes_of_the_data(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'layer { name: "d" type: "MemoryData" top: "d" top: "l" memory_data_param { dim: 2 dim: 3 dim: 4 } }',
    )
    net = caffe.Net(path, caffe.TEST)
    assert net.blobs["l"].shape == (2, 1, 1)
    net.set_input_arrays(np.zeros((4, 3, 4), np.float32), np.arange(4, dtype=np.float32))
    assert [net.forward()["l"].ravel().tolist() for _ in range(3)] == [[0, 1], [2, 3], [0, 1]]


def test_devices(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(mode, "_gpu_problem", lambda index: None if index < 3 else f"no device {index}")
    caffe.init_log(0)
    assert caffe.enumerate_devices(False) == 3 and "Total devices: 3" in capfd.readouterr().err
    try:
        caffe.set_devices((2, 1))
        assert caffe.get_device() == 2
        caffe.select_device(1, True)
        assert caffe.get_device() == 1
        caffe.select_device(0, False)
        assert caffe.get_device() == 0
        for place in (2, -1):
            with pytest.raises(RuntimeError, match=f"place {place} in the devices"):
                caffe.select_device(place, True)
        for devices, message in (([0, 5], "no device 5"), ([], "expected the numbers of GPUs, got none")):
            with pytest.raises(RuntimeError, match=message):
                caffe.set_devices(devices)
    finally:
        caffe.set_devices([0])

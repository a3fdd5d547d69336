"""Scripts of 2014, whose nets have a phase and prepare their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from nets import CLASSIFYING, DEPLOY, make, write
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe.io import Transformer

DROPPING = DEPLOY + 'layer { name: "drop" type: "Dropout" bottom: "scores" top: "dropped" }'
X = np.random.default_rng(4).normal(size=(2, 3, 8, 9)).astype(np.float32)


@pytest.fixture(autouse=True)
def phase() -> Iterator[None]:
    yield
    caffe.set_phase_train()


def files(folder: Path) -> tuple[str, str]:
    weights = str(folder / "w.caffemodel")
    make(folder, DROPPING).save(weights)
    return write(folder, DROPPING), weights


def test_a_phase_for_nets_to_come(tmp_path: Path) -> None:
    definition, weights = files(tmp_path)
    assert caffe.Net(definition, weights).rules.phase == "TRAIN"
    caffe.set_phase_test()
    assert caffe.Net(definition, weights).rules.phase == "TEST"
    assert caffe.Net(definition).rules.phase == "TEST"
    assert caffe.Net(definition, weights, caffe.TRAIN).rules.phase == "TRAIN"
    assert caffe.Net(definition, caffe.TRAIN).rules.phase == "TRAIN"


def test_a_phase_for_a_net(tmp_path: Path) -> None:
    net = caffe.Net(*files(tmp_path))
    net.blobs["data"].reshape(1, 3, 8, 9)
    net.blobs["data"].data[...] = X[:1]
    net.params["ip"][1].data[...] = 2
    assert (net.forward()["dropped"] == 0).any() or (net.forward()["dropped"] == 0).any()
    net.set_phase_test()
    first = net.forward()["dropped"].copy()
    assert_array_equal(first, net.blobs["scores"].data)
    assert first.shape == (1, 5)
    assert_array_equal(net.params["ip"][1].data, 2)
    blob = net.blobs["data"]
    net.set_phase_test()
    assert net.blobs["data"] is blob
    net.set_phase_train()
    assert net.rules.phase == "TRAIN"
    assert_array_equal(net.params["ip"][1].data, 2)


def test_the_net_of_a_solver_keeps_its_phase(tmp_path: Path) -> None:
    write(tmp_path, CLASSIFYING)
    text = f'net: "{tmp_path}/net.prototxt" base_lr: 1 lr_policy: "fixed" test_iter: 1 test_interval: 1'
    solver = caffe.SGDSolver(write(tmp_path, text, "solver.prototxt"))
    solver.net.set_phase_train()
    with pytest.raises(RuntimeError, match="the nets of a solver keep their phase"):
        solver.net.set_phase_test()


@pytest.mark.parametrize("kind", ["array", "file", "channel"])
def test_a_net_prepares_its_inputs(tmp_path: Path, kind: str) -> None:
    net = caffe.Net(*files(tmp_path))
    net.set_mode_cpu()
    mean = np.random.default_rng(5).random((3, 8, 9)) * 255
    np.save(tmp_path / "mean.npy", mean)
    if kind == "channel":
        net.set_mean("data", mean, mode="channel")
    else:
        net.set_mean("data", mean if kind == "array" else str(tmp_path / "mean.npy"))
    net.set_raw_scale("data", 255)
    net.set_channel_swap("data", (2, 1, 0))
    net.set_input_scale("data", 0.5)
    wanted = Transformer({"data": (2, 3, 8, 9)})
    wanted.set_transpose("data", (2, 0, 1))
    wanted.set_mean("data", mean.mean(1).mean(1) if kind == "channel" else mean)
    wanted.set_raw_scale("data", 255)
    wanted.set_channel_swap("data", (2, 1, 0))
    wanted.set_input_scale("data", 0.5)
    image = np.random.default_rng(6).random((16, 20, 3), np.float32)
    given = net.preprocess("data", image)
    assert given.dtype == np.float32
    assert_allclose(given, wanted.preprocess("data", image), rtol=1e-6)
    assert_allclose(net.deprocess("data", given), caffe.io.resize_image(image, (8, 9)), atol=1e-5)
    with pytest.raises(RuntimeError, match="mode 'pixel', expected elementwise or channel"):
        net.set_mean("data", mean, mode="pixel")


def test_a_classifier_that_is_told_the_rest_later(tmp_path: Path) -> None:
    square = DEPLOY.replace("dim: 9", "dim: 8")
    path, weights = write(tmp_path, square), str(tmp_path / "w.caffemodel")
    make(tmp_path, square).save(weights)
    net = caffe.Classifier(path, weights, gpu=False)
    net.set_phase_test()
    net.set_raw_scale("data", 255)
    net.set_channel_swap("data", (2, 1, 0))
    told = caffe.Classifier(path, weights, raw_scale=255, channel_swap=(2, 1, 0))
    image = [np.random.default_rng(7).random((12, 12, 3), np.float32)]
    assert_allclose(net.predict(image), told.predict(image), rtol=1e-5)


def test_weights_by_name_and_no_phase(tmp_path: Path) -> None:
    definition, weights = files(tmp_path)
    first, again = caffe.Net(definition, weights), caffe.Net(definition, weights=weights)
    assert_array_equal(again.params["conv"][0].data, first.params["conv"][0].data)


@pytest.mark.parametrize("kind", [caffe.Classifier, caffe.Detector])
def test_a_mean_file_and_the_scale_before_it(tmp_path: Path, kind: type[caffe.Classifier]) -> None:
    path, weights = files(tmp_path)
    mean, image = np.array([10.0, 20, 30]), X[0].transpose(1, 2, 0)
    np.save(tmp_path / "mean.npy", mean)
    net = kind(path, weights, mean_file=tmp_path / "mean.npy", input_scale=255)
    expected = X[0] * 255 - mean[:, None, None]
    assert_allclose(net.transformer.preprocess("data", image), expected, rtol=1e-5)
    net = kind(path, weights, mean_file=str(tmp_path / "mean.npy"), raw_scale=255, input_scale=0.5)
    assert_allclose(net.transformer.preprocess("data", image), expected / 2, rtol=1e-5)

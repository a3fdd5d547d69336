"""Trainings on nets' own data layers: what Caffe computes, or one line that says why not."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from database_run import BODY, DATA, LOSS, log, prepare, train, write_database, write_run

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.errors import DeviceError, LabelError
from vggrepro.runtime.device import Device
from vggrepro.training import solver
from vggrepro.training.solver import Solver

SCALED = """
layer { name: "sc" type: "Scale" bottom: "fc" top: "sc" include { phase: TEST }
  scale_param { axis: 0 num_axes: 0 } }
layer { name: "scaled" type: "SoftmaxWithLoss" bottom: "sc" bottom: "label" top: "scaled"
  include { phase: TEST } }
"""


def write_zero_scale(path: Path) -> None:
    """A weight file with the layer ``sc`` alone, which is zero."""
    net = NetParameter(name="w")
    net.state.phase = 1
    net.layer.add(name="a", type="Input", top=["a"])
    net.layer.add(name="sc", type="Scale", bottom=["a"], top=["sc"])
    write_caffemodel(path, net, {"sc": [np.zeros((), np.float32)]})


@pytest.mark.parametrize("named", ["--weights", "weights"])
def test_weights_of_layers_that_are_tested_alone(tmp_path: Path, named: str) -> None:
    """Caffe loads the files into nets in phase TEST too: a scale of zero makes all classes equal."""
    write_zero_scale(tmp_path / "zero.caffemodel")
    fields = {"weights": '"zero.caffemodel"'} if named == "weights" else {}
    prepare(tmp_path, DATA + BODY + LOSS + SCALED, **fields)
    more = ["--weights", str(tmp_path / "zero.caffemodel")] if named == "--weights" else []
    assert train(tmp_path, *more) == 0
    for test in log(tmp_path, "test"):
        assert test["scores"]["scaled"] == pytest.approx(math.log(4), abs=1e-6)
        assert test["scores"]["loss"] != pytest.approx(math.log(4), abs=1e-6)


PER_CLASS = """
layer { name: "each" type: "Accuracy" bottom: "fc" bottom: "label" top: "top1" top: "each" %s }
"""


def test_every_element_of_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the log, and for people; in phase TRAIN as well."""
    net = DATA + BODY + LOSS + PER_CLASS % "include { phase: TEST }" + PER_CLASS % "include { phase: TRAIN }"
    prepare(tmp_path, net)
    assert train(tmp_path) == 0
    text = capsys.readouterr().err
    for test in log(tmp_path, "test"):
        each = test["scores"]["each"]
        assert len(each) == 4
        assert np.mean(each) == pytest.approx(test["scores"]["top1"])  # the classes are equally many
        assert f"each[3] {each[3]:.5g}" in text
    assert [len(event["outputs"]["each"]) for event in log(tmp_path, "train")] == [4, 4]


def test_weights_split_at_commas(tmp_path: Path) -> None:
    prepare(tmp_path, max_iter=1)
    shapes = {"data": (8, 3, 20, 22), "label": (8,)}
    trained = Solver(tmp_path / "solver.prototxt", threads=1, input_shapes=shapes)
    for layer, value in {"conv": 1.0, "fc": 2.0}.items():
        arrays = [np.full(a.shape, value) for k, a in trained.params.items() if k.startswith(layer)]
        net = NetParameter(name="w")
        net.layer.add(name=layer, type="Convolution")
        write_caffemodel(tmp_path / layer, net, {layer: arrays})
    both = f"{tmp_path / 'conv'}, {tmp_path / 'fc'}"
    for path, weights in (
        (tmp_path / "solver.prototxt", both),
        (write_run(tmp_path, weights=f'"{both}"'), None),
    ):
        loaded = Solver(path, weights=weights, threads=1, input_shapes=shapes)
        assert {key: array.flat[0] for key, array in loaded.params.items()} == {
            "conv:0": 1.0, "conv:1": 1.0, "fc:0": 2.0, "fc:1": 2.0,
        }  # fmt: skip
    write_run(tmp_path, max_iter=1)
    assert train(tmp_path, "--weights", both.replace(" ", "")) == 0


def test_an_empty_name_of_a_weight_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path)
    assert train(tmp_path, "--weights", "a.caffemodel,") == 2
    assert "weights 'a.caffemodel,': an empty name" in capsys.readouterr().err


IMAGES = """
layer { name: "data" type: "ImageData" top: "data" top: "label" transform_param { scale: 0.01 }
  image_data_param { source: "list.txt" batch_size: %d } }
"""


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for index in range(6):
        pixels = rng.integers(0, 256, (20 + index % 3, 24 - index % 2, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
        lines.append(f"{folder / f'{index}.png'} {index % 4}\n")
    (folder / "list.txt").write_text("".join(lines))


def test_images_of_varying_size(tmp_path: Path) -> None:
    """Caffe reshapes the net for each batch: six sizes in turn, in training and in tests. Global pooling
    makes the size matter little, so padding is no way to fake it: the same net, each image alone, agrees."""
    write_images(tmp_path)
    write_run(
        tmp_path, IMAGES % 1 + BODY + LOSS, max_iter=8, test_iter=6, test_interval=4, base_lr=0, momentum=0
    )
    assert train(tmp_path) == 0
    losses = [event["loss"] for event in log(tmp_path, "train")]
    assert losses[:2] == losses[6:8]
    assert len(set(losses[:6])) == 6
    for test in log(tmp_path, "test"):
        assert test["scores"]["loss"] == pytest.approx(np.mean(losses[:6]), rel=1e-6)
    trained = Solver(
        tmp_path / "solver.prototxt", threads=1, input_shapes={"data": (1, 3, 22, 23), "label": (1,)}
    )
    image = cv2.imread(str(tmp_path / "5.png")).transpose(2, 0, 1)[None] * 0.01
    assert trained.step([{"data": image, "label": np.array([1])}]) == pytest.approx(losses[5], rel=1e-6)


def test_images_of_varying_size_in_one_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path)
    write_run(tmp_path, IMAGES % 4 + BODY + LOSS)
    assert train(tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: layer 'data': ")
    assert "in one batch: img_height == height (21 vs. 20)" in error
    assert "batch_size: 1" in error


def test_sizes_that_parameters_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path)
    write_run(tmp_path, IMAGES % 1 + BODY.replace("pool: AVE global_pooling: true", "kernel_size: 2") + LOSS)
    assert train(tmp_path) == 2
    assert "parameter fc:0 has shape" in capsys.readouterr().err.splitlines()[-1]


def test_dummy_data_alone(tmp_path: Path) -> None:
    drawn = """layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param {
      shape { dim: 6 dim: 3 dim: 9 dim: 8 } shape { dim: 6 }
      data_filler { type: "gaussian" std: 1 } data_filler { type: "uniform" min: 0 max: 3.9 } } }"""
    write_run(tmp_path, drawn + BODY + LOSS, max_iter=3)
    assert train(tmp_path) == 0
    assert len({event["loss"] for event in log(tmp_path, "train")}) == 3
    constant = drawn.replace('{ type: "gaussian" std: 1 }', "{ value: 2 }")
    constant = constant.replace('{ type: "uniform" min: 0 max: 3.9 }', "{ value: 1 }")
    (tmp_path / "constant").mkdir()
    write_run(tmp_path / "constant", constant + BODY + LOSS, max_iter=3, base_lr=0.01)
    assert train(tmp_path / "constant") == 0
    losses = [event["loss"] for event in log(tmp_path / "constant", "train")]
    assert losses == sorted(losses, reverse=True)


def test_a_source_that_nothing_feeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
    prepare(tmp_path, DATA + more + BODY + LOSS)
    assert train(tmp_path) == 2
    assert "layer 'x': a Input layer, which nothing feeds here" in capsys.readouterr().err


def test_sizes_of_one_at_the_end_may_be_missing(tmp_path: Path) -> None:
    """Caffe's older formats declare labels (N, 1, 1, 1)."""
    inputs = 'input: "data" input_dim: 6 input_dim: 3 input_dim: 9 input_dim: 8 '
    inputs += 'input: "label" input_dim: 6 input_dim: 1 input_dim: 1 input_dim: 1 '
    write_run(tmp_path, inputs + BODY + LOSS, test_interval=4)
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (6, 3, 9, 8)), rng.integers(0, 4, 6)
    losses = [
        Solver(tmp_path / "solver.prototxt", threads=1).step([{"data": x, "label": labels}])
        for labels in (y, y.reshape(6, 1, 1, 1), y.reshape(6, 1))
    ]
    assert losses[0] == losses[1] == losses[2]


def test_a_gpu_that_only_the_solver_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(device: Device) -> None:
        raise DeviceError(f"device {device}: CUDA does not load")

    monkeypatch.setattr(solver, "require", fail)
    prepare(tmp_path, solver_mode="GPU")
    assert train(tmp_path) == 2
    advice = "or, whatever solver_mode says, train with --device cpu"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"error: device cuda:0: CUDA does not load; {advice}"
    assert train(tmp_path, "--device", "cuda") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: device cuda:0: CUDA does not load"


@pytest.mark.parametrize("label", [4, 7, -1])
@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "HingeLoss", "MultinomialLogisticLoss"])
def test_labels_out_of_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, label: int
) -> None:
    write_database(tmp_path, [0, 1, 2, 3, 0, 1, label, 3])
    write_run(tmp_path, DATA + BODY + LOSS.replace("SoftmaxWithLoss", kind), test_interval=9)
    assert train(tmp_path) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    where = f"{tmp_path / 'db'}: 00000006"
    assert f"layer 'loss': label {label} in row 6 of blob 'label': expected 0 to 3 (from {where})" in last


def test_labels_out_of_range_in_a_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The training batch is right, the larger batch of the test is not."""
    write_database(tmp_path, [0, 1, 2, 3, 0, 1, 2, 3, 4, 0])
    write_run(tmp_path)
    assert train(tmp_path) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    where = f"{tmp_path / 'db'}: 00000008"
    assert f"layer 'loss': label 4 in row 8 of blob 'label': expected 0 to 3 (from {where})" in last


def test_ignored_labels_may_be_anything(tmp_path: Path) -> None:
    write_database(tmp_path, [0, 1, 2, 3, 0, 1, 255, 3])
    ignoring = LOSS.replace('top: "loss"', 'top: "loss" loss_param { ignore_label: 255 }')
    write_run(tmp_path, DATA + BODY + ignoring.split('layer { name: "accuracy"')[0])
    assert train(tmp_path) == 0


def test_labels_by_hand(tmp_path: Path) -> None:
    write_run(tmp_path, DATA + BODY + LOSS)
    by_hand = Solver(
        tmp_path / "solver.prototxt", threads=1, input_shapes={"data": (8, 3, 9, 9), "label": (8,)}
    )
    before = {key: array.copy() for key, array in by_hand.params.items()}
    for label in (4, -1, float("nan")):
        with pytest.raises(
            LabelError, match=r"layer 'loss': label \S+ in row 2 of blob 'label': expected 0 to 3"
        ):
            by_hand.step([{"data": np.ones((8, 3, 9, 9)), "label": np.array([0, 0, label, 0, 0, 0, 0, 0])}])
    assert by_hand.iteration == 0
    for key, array in by_hand.params.items():
        np.testing.assert_array_equal(array, before[key])

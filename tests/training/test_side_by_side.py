"""Steps in which each thread has images of its own: what they give, and for which nets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training.small_nets import CLASSES, CROP, write_small_nets

from vggrepro.caffe.text import parse_net
from vggrepro.net import build_net, load_net
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.training import side_by_side
from vggrepro.training.side_by_side import parts_of
from vggrepro.training.solver import Solver

CPU = Device("cpu", 0)

NET = """
layer {{ name: "in" type: "Input" top: "data" top: "label"
  input_param {{ shape {{ dim: {n} dim: 16 dim: 9 dim: 9 }} shape {{ dim: {n} }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 16 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
{more}
layer {{ name: "fc1" type: "InnerProduct" bottom: "pool" top: "fc1"
  inner_product_param {{ num_output: 100 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "drop" type: "Dropout" bottom: "fc1" top: "fc1" dropout_param {{ dropout_ratio: 0.4 }} }}
layer {{ name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
  inner_product_param {{ num_output: 7 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc2" bottom: "label" top: "loss" {loss} }}
layer {{ name: "right" type: "Accuracy" bottom: "fc2" bottom: "label" top: "right" }}
layer {{ name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }}
"""


def text(images: int = 8, more: str = "", loss: str = "loss_weight: 2") -> str:
    return NET.format(n=images, more=more, loss=loss)


def solver_of(folder: Path, threads: int, images: int = 8, passes: int = 1) -> Solver:
    (folder / "net.prototxt").write_text(text(images))
    path = folder / "solver.prototxt"
    path.write_text(
        f'net: "net.prototxt" random_seed: 3 base_lr: 0.05 momentum: 0.9 lr_policy: "fixed"'
        f" iter_size: {passes}"
    )
    return Solver(path, threads=threads)


def feeds(images: int, count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        {
            "data": rng.standard_normal((images, 16, 9, 9), np.float32),
            "label": rng.integers(0, 7, images).astype(np.float32),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize(("threads", "images", "passes"), [(2, 8, 1), (2, 10, 2), (4, 16, 1), (3, 12, 1)])
def test_shared_steps_are_those_of_the_whole_batch(
    threads: int, images: int, passes: int, tmp_path: Path
) -> None:
    whole, shared = (solver_of(tmp_path, n, images, passes) for n in (1, threads))
    assert parts_of(shared.net, threads, CPU) == threads
    for step in range(4):
        given = feeds(images, 4 * passes)[step * passes : (step + 1) * passes]
        expected, got = (solver.step_passes(given) for solver in (whole, shared))
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(got[name], value, rtol=2e-5, atol=1e-6, err_msg=name)
        for solver in (whole, shared):
            assert solver.arrays.read(solver.arrays.total)["fc1:0"].any()
    for key, values in whole.params.items():
        np.testing.assert_allclose(shared.params[key], values, rtol=1e-4, atol=1e-6, err_msg=key)


def test_the_gradients_of_large_weights_are_made_once(tmp_path: Path) -> None:
    whole, shared = (solver_of(tmp_path, n) for n in (1, 2))
    (given,) = feeds(8, 1)
    for solver in (whole, shared):
        solver.step([given])
    gradients = [solver.arrays.read(solver.arrays.total) for solver in (whole, shared)]
    for key in ("conv:0", "conv:1", "fc1:0", "fc1:1", "fc2:0", "fc2:1"):
        np.testing.assert_allclose(gradients[1][key], gradients[0][key], rtol=1e-4, atol=1e-6, err_msg=key)
    run = shared._passes(shared.net.inputs).first
    assert isinstance(run, side_by_side.SharedRun)
    assert set(run._step.graph.gradients) == {"conv:0", "conv:1", "fc1:1", "fc2:0", "fc2:1"}
    assert run._step.separate == ("fc1:0",)


def test_two_steps_give_the_same_bits(tmp_path: Path) -> None:
    first, second = (solver_of(tmp_path, 2) for _ in range(2))
    for given in feeds(8, 3):
        assert first.step([given]) == second.step([given])
    for key, values in first.params.items():
        np.testing.assert_array_equal(second.params[key], values)


def test_inputs_that_are_on_the_device_are_shared_in_place(tmp_path: Path) -> None:
    (given,) = feeds(8, 1)
    array = DeviceArray(given["data"].size, CPU)
    array.write(given["data"].reshape(-1))
    fed, bound = (solver_of(tmp_path, 2) for _ in range(2))
    view = DeviceView(array, 0, given["data"].shape)
    assert fed.step([given]) == bound.step([{**given, "data": view}])


@pytest.mark.parametrize("config", ["A", "D", "E"])
def test_the_papers_nets_are_shared(config: str, tmp_path: Path) -> None:
    path = write_small_nets(tmp_path) / config / "train_val.prototxt"
    net = load_net(path, phase="TRAIN", input_shapes={"data": (20, 3, CROP, CROP), "label": (20,)})
    assert [parts_of(net, threads, CPU) for threads in (1, 2, 3, 4, 5, 10)] == [1, 2, 1, 4, 1, 1]
    assert parts_of(net, 2, Device("cuda", 0)) == 1
    assert net.shapes["fc8"] == (20, CLASSES)


BATCH_NORM = 'layer { name: "bn" type: "BatchNorm" bottom: "pool" top: "pool" }'
TOGETHER = """layer { name: "mean" type: "Reduction" bottom: "pool" top: "mean" loss_weight: 1 }"""
WEIGHTED = """layer { name: "half" type: "Power" bottom: "pool" top: "half" loss_weight: 0.5 }"""
BOTH = """layer { name: "both" type: "Concat" bottom: "pool" bottom: "pool" top: "both"
  concat_param { axis: 0 } }
layer { name: "s" type: "Silence" bottom: "both" }"""
JOINED = """layer { name: "both" type: "Concat" bottom: "pool" bottom: "pool" top: "both"
  concat_param { axis: 0 } }"""

SHARES = (
    """layer {{ name: "shares" type: "Softmax" bottom: "pool" top: "pool" softmax_param {{ axis: {} }} }}"""
)


@pytest.mark.parametrize(
    ("more", "loss"),
    [
        (SHARES.format(0), ""),
        (SHARES.format(-4), ""),
        (BATCH_NORM, ""),
        (TOGETHER, ""),
        (WEIGHTED, ""),
        (BOTH, ""),
        (JOINED, ""),
        ("", "loss_param { ignore_label: 1 }"),
        ("", "loss_param { normalization: NONE }"),
    ],
)
def test_nets_that_see_images_together_stay_whole(more: str, loss: str) -> None:
    net = build_net(parse_net(text(more=more, loss=loss)), "TRAIN")
    assert parts_of(net, 2, CPU) == 1
    assert parts_of(build_net(parse_net(text()), "TRAIN"), 2, CPU) == 2
    assert parts_of(build_net(parse_net(text(more=SHARES.format(-1))), "TRAIN"), 2, CPU) == 2
    assert parts_of(build_net(parse_net(text(images=9)), "TRAIN"), 2, CPU) == 1
    assert parts_of(build_net(parse_net(text(images=6)), "TRAIN"), 2, CPU) == 1

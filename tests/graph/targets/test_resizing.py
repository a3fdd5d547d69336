"""Layers that resize, in the OpenCV that is installed and in ONNX Runtime: right, or refused by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.targets.convert import Deployment
from vggrepro.net import Net, load_net
from vggrepro.verify.runtimes.jobs import Job, run_jobs
from vggrepro.verify.runtimes.written import installed

PLACES = {
    "channels to places": 'type: "PixelShuffle" pixelshuffle_param { upscale_factor: 3 }',
    "places to channels": 'type: "Reorg" reorg_param { stride: 3 }',
    "the way back": 'type: "Reorg" reorg_param { stride: 3 reverse: true }',
}
BILINEAR = 'bias_term: false weight_filler { type: "bilinear" }'
LAYERS = {
    "zoomed": 'type: "Interp" interp_param { zoom_factor: 3 }',
    "to a size": 'type: "Interp" interp_param { height: 13 width: 25 }',
    "shrunk": 'type: "Interp" interp_param { shrink_factor: 2 }',
    "made smaller": 'type: "Interp" interp_param { height: 4 width: 5 }',
    "repeated": 'type: "Upsample" upsample_param { scale: 3 }',
    "bilinear by group": 'type: "Deconvolution" convolution_param { num_output: 3 group: 3 kernel_size: 4'
    f" stride: 2 pad: 1 {BILINEAR} }}",
    "bilinear, FCN's": 'type: "Deconvolution" convolution_param { num_output: 3 kernel_size: 16 stride: 8'
    f" {BILINEAR} }}",
}
OPENCV = "opencv5" if int(cv2.__version__.split(".")[0]) >= 5 else "opencv4"


def net(folder: Path, layer: str) -> Net:
    path = folder / "net.prototxt"
    path.write_text(
        'input: "data" input_dim: 2 input_dim: 3 input_dim: 7 input_dim: 9\n'
        f'layer {{ name: "a" bottom: "data" top: "y" {layer} }}'
    )
    return load_net(path, seed=1)


@pytest.mark.parametrize("runtime", ["opencv", "onnxruntime"])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_it_is_right(tmp_path: Path, layer: str, runtime: str) -> None:
    resized = net(tmp_path, layer)
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 9)).astype(np.float32)
    graph = build_deployed(resized, Deployment(OPENCV))
    graph.save(tmp_path / "m.onnx")
    (reply,) = run_jobs(installed(runtime), [Job(tmp_path / "m.onnx", {"data": x}, ["y"])]).replies
    assert reply.error == ""
    want = reference_forward(resized, {"data": x})["y"]
    np.testing.assert_allclose(reply.arrays["y"].reshape(want.shape), want, atol=1e-5)


@pytest.mark.parametrize("runtime", ["opencv", "onnxruntime"])
@pytest.mark.parametrize("layer", PLACES.values(), ids=PLACES.keys())
def test_places_and_channels(tmp_path: Path, layer: str, runtime: str) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "data" input_shape { dim: 2 dim: 18 dim: 6 dim: 9 }\n'
        f'layer {{ name: "a" bottom: "data" top: "y" {layer} }}'
    )
    moved = load_net(path)
    x = np.random.default_rng(0).standard_normal((2, 18, 6, 9)).astype(np.float32)
    build_deployed(moved, Deployment(OPENCV)).save(tmp_path / "m.onnx")
    (reply,) = run_jobs(installed(runtime), [Job(tmp_path / "m.onnx", {"data": x}, ["y"])]).replies
    assert reply.error == ""
    want = reference_forward(moved, {"data": x})["y"]
    np.testing.assert_array_equal(reply.arrays["y"].reshape(want.shape), want.astype(np.float32))


def unpooling(folder: Path) -> Net:
    (folder / "net.prototxt").write_text(
        'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'
        'layer { name: "p" type: "Pooling" bottom: "data" top: "p" top: "m"'
        " pooling_param { pool: MAX kernel_size: 2 stride: 2 } }\n"
        'layer { name: "u" type: "Upsample" bottom: "p" bottom: "m" top: "y" upsample_param { scale: 2 } }'
    )
    return load_net(folder / "net.prototxt")


def test_opencv_4_does_not_unpool(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"layer '\w': operator \w+ is not in OpenCV"):
        build_deployed(unpooling(tmp_path), Deployment("opencv4"))


@pytest.mark.skipif(OPENCV != "opencv5", reason="OpenCV 5 is not installed")
def test_opencv_5_unpools(tmp_path: Path) -> None:
    net = unpooling(tmp_path)
    build_deployed(net, Deployment("opencv5")).save(tmp_path / "m.onnx")
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    (reply,) = run_jobs(installed("opencv"), [Job(tmp_path / "m.onnx", {"data": x}, ["y"])]).replies
    assert reply.error == ""
    np.testing.assert_array_equal(reply.arrays["y"], reference_forward(net, {"data": x})["y"])

"""Preprocessing as part of a model: what a decoded image becomes before the net's first layer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from vggrepro.data.preprocess import to_blob
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.graph.embedded_preprocessing import Preprocessing, image_input
from vggrepro.graph.forward import to_onnx
from vggrepro.graph.targets.table import TARGETS
from vggrepro.net import Net, load_net

NET = """name: "small" input: "data" input_dim: 2 input_dim: {channels} input_dim: 7 input_dim: 9
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: "gaussian" std: 0.1 }} }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param {{ num_output: 5 weight_filler {{ type: "gaussian" std: 0.1 }} }} }}"""

MEAN = (103.939, 116.779, 123.68)


def net(folder: Path, channels: int = 3) -> Net:
    (folder / "net.prototxt").write_text(NET.format(channels=channels))
    return load_net(folder / "net.prototxt", seed=1)


def images(channels: int = 3, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 7, 9, channels), np.uint8)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["fc"], {"data": x})[0]


MEAN_IMAGE = np.random.default_rng(1).uniform(80, 140, (7, 9, 3)).astype(np.float32)

CASES = [
    Preprocessing(),
    Preprocessing(MEAN),
    Preprocessing(MEAN, 0.017),
    Preprocessing(MEAN, 0.017, "rgb"),
    Preprocessing(MEAN, 1 / 127.5, "bgr", "rgb"),
    Preprocessing(MEAN, 1.0, "rgb", "rgb", "nchw"),
    Preprocessing(MEAN_IMAGE, 2.0, "rgb", "bgr", "nchw"),
    Preprocessing(np.float32([127.5]), 0.0078125),
]


@pytest.mark.parametrize("target", sorted(TARGETS.keys() - {"ncnn"}))
@pytest.mark.parametrize("how", CASES, ids=range(len(CASES)))
def test_a_decoded_image_gives_what_its_blob_gives(tmp_path: Path, how: Preprocessing, target: str) -> None:
    small, decoded = net(tmp_path), images()
    mean = np.zeros(3) if how.mean is None else np.broadcast_to(how.mean, (*np.shape(how.mean)[:-1], 3))
    mean = mean if mean.ndim == 1 else np.broadcast_to(mean, decoded.shape)
    blob = to_blob(decoded, mean, how.scale, how.channel_order)
    given = decoded[..., ::-1] if how.image_order == "rgb" else decoded
    given = given.transpose(0, 3, 1, 2) if how.layout == "nchw" else given
    want = run(to_onnx(small), blob)
    got = run(to_onnx(small, preprocessing=how, target=target), np.ascontiguousarray(given))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())
    if target == "onnxruntime":
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(how.blob(given), blob)


def test_a_runtime_without_tensors_of_bytes(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Cast for ncnn: its images are no tensors of bytes"):
        to_onnx(net(tmp_path), preprocessing=Preprocessing(MEAN), target="ncnn")


@pytest.mark.parametrize("how", CASES, ids=range(len(CASES)))
def test_in_opencv(tmp_path: Path, how: Preprocessing) -> None:
    small = net(tmp_path)
    target = "opencv5" if int(cv2.__version__.split(".")[0]) >= 5 else "opencv4"
    given = images() if how.layout == "nhwc" else np.ascontiguousarray(images().transpose(0, 3, 1, 2))
    path = tmp_path / "m.onnx"
    onnx.save(to_onnx(small, preprocessing=how, target=target), path)
    reader = cv2.dnn.readNetFromONNX(str(path))
    reader.setInput(cv2.Mat(given), "data")
    want = run(to_onnx(small, preprocessing=how), given)
    np.testing.assert_allclose(reader.forward(), want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_a_grey_image_has_no_order(tmp_path: Path) -> None:
    how = Preprocessing((33.0, 33.0, 33.0), 1 / 256, "rgb", "bgr")
    decoded = images(1)
    model = to_onnx(net(tmp_path, 1), preprocessing=how)
    assert "Gather" not in {node.op_type for node in model.graph.node}
    blob = (decoded.transpose(0, 3, 1, 2).astype(np.float32) - 33) / 256
    np.testing.assert_array_equal(run(model, decoded), run(to_onnx(net(tmp_path, 1)), blob))


def test_of_a_larger_mean_image_the_centre_counts(tmp_path: Path) -> None:
    """Caffe's centre crop: half of the margin, rounded down."""
    large = np.random.default_rng(2).uniform(80, 140, (12, 12, 3)).astype(np.float32)
    small = net(tmp_path)
    got = run(to_onnx(small, preprocessing=Preprocessing(large)), images())
    want = run(to_onnx(small, preprocessing=Preprocessing(large[2:9, 1:10])), images())
    np.testing.assert_array_equal(got, want)


def test_the_batch_stays_free_and_the_model_says_what_it_does(tmp_path: Path) -> None:
    how = Preprocessing(MEAN, 0.017, "rgb")
    model = to_onnx(net(tmp_path), preprocessing=how)
    (info,) = model.graph.input
    assert info.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    dims = [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]
    assert dims == ["N", 7, 9, 3]
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["embedded_preprocessing"] == (
        "data: uint8 (N, H, W, C), channels BGR; float32, channels turned to RGB,"
        " minus the mean 103.939,116.779,123.68 (blue, green, red), times 0.017"
    )
    assert said["preprocessing_left"] == "decode to 0-255; resize or crop to height 7, width 9"
    assert said["channel_order"] == "BGR"
    assert run(model, images(count=3)).shape == (3, 5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Preprocessing((1.0, 2.0)), "a mean of 2 values for 3 channels"),
        (Preprocessing(np.zeros((6, 9, 3), np.float32)), "a mean image of 6 x 9 is smaller than the net's"),
        (Preprocessing((1.0, np.nan, 2.0)), "values that are not finite"),
    ],
)
def test_a_mean_that_does_not_fit_is_refused(tmp_path: Path, how: Preprocessing, message: str) -> None:
    with pytest.raises(NetError, match=message):
        to_onnx(net(tmp_path), preprocessing=how)


def test_a_mean_image_needs_a_fixed_size(tmp_path: Path) -> None:
    how = Preprocessing(MEAN_IMAGE)
    with pytest.raises(NetError, match="needs a fixed size of images"):
        to_onnx(net(tmp_path), preprocessing=how, fully_convolutional=True)


def test_the_image_among_inputs() -> None:
    assert image_input({"data": (1, 3, 8, None), "im_info": (1, 3)}) == "data"
    with pytest.raises(NetError, match="found none"):
        image_input({"x": (1, 4, 8, 8)})
    with pytest.raises(NetError, match="found 'a', 'b'"):
        image_input({"a": (1, 1, 8, 8), "b": (1, 3, 8, 8)})

"""The conversion command with preprocessing inside: options, verification, what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from golden_suite import ROOT

from vggrepro.caffe.messages import BlobProto
from vggrepro.cli.convert_caffemodel import main
from vggrepro.data.preprocess import to_blob

FOLDER = ROOT / "nets" / "alexnet_like"
EMBED = "--embed-preprocessing"


def convert(out: Path, *options: str) -> int:
    files = (str(FOLDER / "net.prototxt"), str(FOLDER / "weights.caffemodel"))
    return main([*files, "-o", str(out), *options])


def run(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["prob"], {"data": x})[0]


def pictures(path: Path) -> np.ndarray:
    dims = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    shape = (1, dims[2].dim_value, dims[3].dim_value, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("kind", ["pixel", "npy", "binaryproto", "pixel of a file"])
def test_every_kind_of_mean(kind: str, tmp_path: Path) -> None:
    assert convert(tmp_path / "plain.onnx") == 0
    x = pictures(tmp_path / "plain.onnx")
    mean = np.random.default_rng(1).uniform(90, 130, x.shape[1:]).astype(np.float32)  # H W C, blue first
    options = ["--scale", "0.017"]
    if kind == "pixel":
        mean = np.float32([104, 117, 123])
        options += ["--mean", "104,117,123"]
    elif kind == "binaryproto":
        blob = BlobProto(num=1, channels=3, height=mean.shape[0], width=mean.shape[1])
        blob.data.extend(mean.transpose(2, 0, 1).ravel().tolist())
        (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
        options += ["--mean", str(tmp_path / "mean.binaryproto")]
    else:
        np.save(tmp_path / "mean.npy", mean.transpose(2, 0, 1))
        options += ["--mean", str(tmp_path / "mean.npy")]
        if kind == "pixel of a file":
            options += ["--mean-as", "pixel"]
            mean = mean.mean(axis=(0, 1), dtype=np.float64)
    verify = ["--verify", "--verify-with", "onnxruntime"]
    assert convert(tmp_path / "m.onnx", EMBED, *options, *verify) == 0
    values = mean if mean.ndim == 1 else mean[None]
    want = run(tmp_path / "plain.onnx", to_blob(x, values, 0.017))
    np.testing.assert_allclose(run(tmp_path / "m.onnx", x), want, atol=1e-6)


def test_it_is_verified_in_opencv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = "opencv5" if int(cv2.__version__.split(".")[0]) >= 5 else "opencv4"
    options = ("--mean", "104,117,123", "--target", target, "--verify-with", "opencv")
    images = ("--image-layout", "nchw", "--image-order", "rgb")
    assert convert(tmp_path / "m.onnx", EMBED, *options, *images) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("(")[2].partition(")")[0] for line in lines] == [
        "pixels from 0 to 255",
        "pixels from 124 to 132",
    ]


def test_images_to_verify_with_are_the_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path / "plain.onnx") == 0
    np.save(tmp_path / "x.npy", pictures(tmp_path / "plain.onnx"))
    given = ("--verify", "--input", str(tmp_path / "x.npy"))
    assert convert(tmp_path / "m.onnx", EMBED, "--mean", "104", *given) == 0
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    assert convert(tmp_path / "m.onnx", EMBED, "--mean", "104", *given) == 2
    assert "expected images, uint8, as the model takes them, got float32" in capsys.readouterr().err


def test_half_weights_and_a_larger_image(tmp_path: Path) -> None:
    options = ("--mean", "104,117,123", "--fp16", "--fully-conv", "--verify", "--verify-with", "onnxruntime")
    assert convert(tmp_path / "m.onnx", EMBED, *options, "--tolerance", "0.01") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--image-layout", "nchw"), "--image-layout: expected --embed-preprocessing with it"),
        (("--image-order", "rgb"), "--image-order: expected --embed-preprocessing with it"),
        (("--mean-as", "pixel"), "--mean-as: expected --embed-preprocessing with it"),
        ((EMBED, "--mean", "nothing.npy"), "nothing.npy: Could not open or find file"),
    ],
)
def test_what_cannot_be_is_refused(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path / "m.onnx", *options) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

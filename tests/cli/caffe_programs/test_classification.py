"""classification: the image as OpenCV makes it, less the mean of each channel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from caffe_nets import caffe

import vggrepro.pycaffe as module
from vggrepro.caffe.snapshot import write_blob

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 10 dim: CHANNELS dim: 8 dim: 9 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param {
  num_output: 6 weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


def prepare(folder: Path, channels: int) -> list[str]:
    (folder / "net.prototxt").write_text(NET.replace("CHANNELS", str(channels)))
    module.set_random_seed(1)
    module.Net("net.prototxt", module.TEST).save("w.caffemodel")
    mean = np.random.default_rng(2).random((1, channels, 5, 5)).astype(np.float32) * 200
    write_blob(folder / "mean.binaryproto", mean)
    (folder / "labels.txt").write_text("".join(f"n{number} class {number}\n" for number in range(6)))
    picture = np.random.default_rng(3).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "cat.png"), picture)
    return ["net.prototxt", "w.caffemodel", "mean.binaryproto", "labels.txt", "cat.png"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("channels", [3, 1])
def test_prediction(channels: int, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = prepare(here, channels)
    assert caffe("classification", *files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "---------- Prediction for cat.png ----------"
    net = module.Net("net.prototxt", module.TEST, weights="w.caffemodel")
    image = cv2.imread("cat.png", cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(image, (9, 8)).reshape(8, 9, channels).astype(float)
    mean = module.io.caffe_pb2.BlobProto.FromString((here / "mean.binaryproto").read_bytes())
    small -= module.io.blobproto_to_array(mean)[0].mean((1, 2))
    net.blobs["data"].data[...] = small.transpose(2, 0, 1)
    scores = net.forward()["prob"][0]
    best = np.argsort(-scores)[:5]
    assert lines[1:] == [f'{scores[i]:.4f} - "n{i} class {i}"' for i in best]


def test_errors(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = prepare(here, 3)
    assert caffe("classification", *files[:4]) == 2
    assert "usage: classification" in capsys.readouterr().err
    write_blob(here / "mean.binaryproto", np.zeros((1, 1, 5, 5), np.float32))
    assert caffe("classification", *files) == 2
    assert "Number of channels of mean file doesn't match input layer" in capsys.readouterr().err
    (here / "labels.txt").write_text("one\n")
    assert caffe("classification", *files) == 2
    assert "labels.txt: 1 labels: Number of labels is different" in capsys.readouterr().err

"""cv2.dnn.Model and its kinds over nets of Caffe's files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from opencv_layouts import write_layout

from vggrepro.errors import NetError
from vggrepro.opencv import readNetFromCaffe
from vggrepro.opencv.models import (
    ClassificationModel,
    DetectionModel,
    KeypointsModel,
    Model,
    SegmentationModel,
    _boxes,
)

OPENCV4 = os.environ.get("OPENCV4_PYTHON", "")

FRAME = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)

START = 'input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 8 }\n'
SCORES = START + (
    'layer { name: "p" type: "Pooling" bottom: "data" top: "p"'
    " pooling_param { pool: AVE global_pooling: true } }"
)


def model(kind: type[Model], text: str, folder: Path) -> Model:
    (folder / "net.prototxt").write_text(text)
    return kind(readNetFromCaffe(folder / "net.prototxt"))


def test_frames_become_the_blob_that_the_setters_say(tmp_path: Path) -> None:
    found = model(Model, START + 'layer { name: "d" type: "Power" bottom: "data" top: "d" }', tmp_path)
    want = cv2.dnn.blobFromImage(FRAME, 1.0, (8, 4))  # the definition's size
    np.testing.assert_array_equal(found.predict(FRAME)[0], want)
    found.setInputParams(0.5, (6, 5), (1, 2, 3), swapRB=True, crop=True)
    want = cv2.dnn.blobFromImage(FRAME, 0.5, (6, 5), (1, 2, 3), True, True)
    np.testing.assert_allclose(found.predict(FRAME)[0], want, rtol=1e-6)
    found.setInputScale((1, 2, 3)).setInputSize(6, 5).setInputMean(0).setInputSwapRB(False).setInputCrop(
        False
    )
    scales = np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
    want = cv2.dnn.blobFromImage(FRAME, 1.0, (6, 5)) * scales
    np.testing.assert_allclose(found.predict(FRAME)[0], want, rtol=1e-6)
    found.setInputParams(0.5)
    with pytest.raises(NetError, match=r"^predict: there is no input size; expected setInputSize before$"):
        found.predict(FRAME)


def test_two_stage_detectors_are_told_the_size(tmp_path: Path) -> None:
    text = 'input: "im_info" input_shape { dim: 1 dim: 3 }'
    text += 'layer { name: "i" type: "Power" bottom: "im_info" top: "i" }'
    found = model(Model, SCORES + text, tmp_path)
    found.setOutputNames(["i"])
    np.testing.assert_allclose(found.predict(FRAME)[0], [[4, 8, 1.6]])


def test_classes(tmp_path: Path) -> None:
    found = model(ClassificationModel, SCORES, tmp_path)
    assert isinstance(found, ClassificationModel)
    means = cv2.dnn.blobFromImage(FRAME, 0.01, (8, 4)).mean(axis=(2, 3)).ravel()
    found.setInputScale(0.01)
    label, score = found.classify(FRAME)
    assert label == means.argmax() and score == pytest.approx(means.max())
    assert not found.getEnableSoftmaxPostProcessing()
    found.setEnableSoftmaxPostProcessing(True)
    assert found.getEnableSoftmaxPostProcessing()
    assert found.classify(FRAME)[1] == pytest.approx(np.exp(means.max()) / np.exp(means).sum())
    found.setOutputNames(["p", "p"])
    with pytest.raises(NetError, match="classify: the net has 2 outputs, expected 1"):
        found.classify(FRAME)


def test_maps(tmp_path: Path) -> None:
    text = START + 'layer { name: "d" type: "Power" bottom: "data" top: "d" }'
    blob = cv2.dnn.blobFromImage(FRAME, 1.0, (8, 4))[0]
    segments = model(SegmentationModel, text, tmp_path)
    assert isinstance(segments, SegmentationModel)
    mask = segments.segment(FRAME)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, blob.argmax(axis=0))
    points = model(KeypointsModel, text, tmp_path)
    assert isinstance(points, KeypointsModel)
    found = points.estimate(FRAME, float(blob[0].max()) - 0.5)
    y, x = np.unravel_index(blob[0].argmax(), (4, 8))
    np.testing.assert_allclose(found[0], [x * 90 / 8, y * 60 / 4])
    assert found.shape == (2, 2) and found.dtype == np.float32
    assert points.estimate(FRAME, 1e9).tolist() == [[-1, -1], [-1, -1]]
    other = model(
        SegmentationModel, SCORES + 'layer { name: "f" type: "Flatten" bottom: "p" top: "f" }', tmp_path
    )
    assert isinstance(other, SegmentationModel)
    with pytest.raises(NetError, match=r"segment: the output is \(1, 3\), expected 4 axes"):
        other.segment(FRAME)


def test_boxes_stay_in_the_frame() -> None:
    size = np.array([90, 60], np.int32)
    corners = np.array(
        [[0.1, 0.2, 0.5, 0.6], [-0.5, -0.5, 1.5, 1.5], [10, 20, 30, 40.9], [80, 50, 200, 300]], "f"
    )
    want = [[9, 12, 37, 25], [0, 0, 90, 60], [10, 20, 21, 21], [80, 50, 10, 10]]
    assert _boxes(corners, size).tolist() == want


def test_detections_above_a_threshold(tmp_path: Path) -> None:
    found = DetectionModel(readNetFromCaffe(*write_layout(tmp_path, "MobileNetSSD_deploy")))
    rows = found.predict(FRAME)[0].reshape(-1, 7)
    least = float(rows[4, 2])
    labels, scores, boxes = found.detect(FRAME, confThreshold=least)
    assert labels.tolist() == rows[: len(labels), 1].tolist() and scores.min() == np.float32(least)
    assert (np.diff(scores) <= 0).all() and boxes.shape == (len(labels), 4) and boxes.dtype == np.int32
    assert found.detect(FRAME, confThreshold=1.5) == ((), (), ())
    assert found.setNmsAcrossClasses(True).getNmsAcrossClasses()  # type: ignore[attr-defined]
    other = model(DetectionModel, SCORES, tmp_path)
    assert isinstance(other, DetectionModel)
    with pytest.raises(NetError, match="the last layer, 'p', is of type Pooling, expected DetectionOutput"):
        other.detect(FRAME)


SCRIPT = """
import sys
import cv2, numpy as np

class Centre:
    def __init__(self, params, blobs):
        print(params)
    def getMemoryShapes(self, inputs):
        return [[*inputs[0][:2], *inputs[1][2:]]]
    def forward(self, inputs):
        y, x = [(a - b) // 2 for a, b in zip(inputs[0].shape[2:], inputs[1].shape[2:])]
        return [inputs[0][:, :, y:y + inputs[1].shape[2], x:x + inputs[1].shape[3]]]

frame = np.load("frame.npy")
found = []
net = cv2.dnn_DetectionModel("MobileNetSSD_deploy.caffemodel", "MobileNetSSD_deploy.prototxt")
net.setInputSize(300, 300)
net.setInputScale(3)
net.setInputMean((1, 2, 3))
net.setInputSwapRB(True)
found += [*net.detect(frame, confThreshold=0.26), *net.predict(frame)]
read = cv2.dnn.readNetFromCaffe("pose_iter_440000.prototxt", "pose_iter_440000.caffemodel")
net = cv2.dnn.KeypointsModel(read)
net.setInputParams(1 / 255, (64, 48))
found.append(net.estimate(frame, 0.1))
net = cv2.dnn_ClassificationModel("age_net.caffemodel", "age_net.prototxt")
net.setInputParams(0.02, (227, 227), (78, 87, 114), crop=True)
net.setEnableSoftmaxPostProcessing(True)
found += net.classify(frame)
net = cv2.dnn.readNet("crop.prototxt")
cv2.dnn_registerLayer("Crop", Centre)
net.setInput(cv2.dnn.blobFromImage(frame, 1, (20, 30)), "a")
net.setInput(cv2.dnn.blobFromImage(frame, 1, (7, 8)), "b")
found.append(net.forward())
print(net.getLayersShapes([[1, 3, 30, 20], [1, 3, 8, 7]])[2], cv2.dnn.DNN_BACKEND_HALIDE)
np.savez(sys.argv[1], *found)
"""

CROP = """input: "a" input_shape { dim: 1 dim: 3 dim: 30 dim: 20 }
input: "b" input_shape { dim: 1 dim: 3 dim: 8 dim: 7 }
layer { name: "c" type: "Crop" bottom: "a" bottom: "b" top: "c" crop_param { offset: 1 } }
layer { name: "s" type: "Power" bottom: "c" top: "s" power_param { scale: 2 } }
"""


@pytest.mark.skipif(not OPENCV4, reason="OPENCV4_PYTHON names no interpreter with OpenCV 4")
def test_a_script_with_models_and_a_layer_gives_what_it_gave_with_opencv_4(tmp_path: Path) -> None:
    for name in ("MobileNetSSD_deploy", "pose_iter_440000", "age_net"):
        write_layout(tmp_path, name)
    (tmp_path / "crop.prototxt").write_text(CROP)
    (tmp_path / "script.py").write_text(SCRIPT)
    smooth = cv2.resize(np.random.default_rng(3).integers(0, 256, (6, 9, 3)).astype(np.uint8), (270, 180))
    np.save(tmp_path / "frame.npy", smooth)
    ours = "import sys; from vggrepro.cli.main import main; sys.exit(main())"
    told = [
        subprocess.check_output([*command, f"{name}.npz"], cwd=tmp_path, text=True)
        for name, command in {
            "old": [OPENCV4, "script.py"],
            "new": [sys.executable, "-c", ours, "run-pycaffe", "script.py"],
        }.items()
    ]
    assert told[0] == told[1]
    with np.load(tmp_path / "old.npz") as old, np.load(tmp_path / "new.npz") as new:
        assert old.files == new.files and len(old["arr_0"]) > 3
        for name in old.files:
            np.testing.assert_allclose(new[name], old[name], rtol=1e-3, atol=1e-4, err_msg=name)

"""OpenCV 4's importer: its calls, made to a stand-in where OpenCV 5 is installed."""

import cv2
import numpy as np

from vggrepro.verify.runtimes import opencv_caffe_run


class Recorder:
    def __init__(self, *files):
        self.calls = [files]

    def setInput(self, array, name):
        self.calls.append((name, array.shape))

    def forward(self, names):
        self.calls.append(names)
        return [np.ones(3) for _ in names]


def test_its_calls(monkeypatch):
    made = []
    monkeypatch.setattr(
        cv2.dnn, "readNetFromCaffe", lambda *files: made.append(Recorder(*files)) or made[0], raising=False
    )
    answers = opencv_caffe_run.answers("folder", {"x": np.zeros((1, 2, 3))}, ["fc", "y"])
    assert list(answers) == ["fc", "y"]
    files = ("folder/net.prototxt", "folder/net.caffemodel")
    assert made[0].calls == [files, ("x", (1, 2, 3)), ["fc", "y"]]
    assert opencv_caffe_run.version() == cv2.__version__

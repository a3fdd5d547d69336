"""From readNetFromCaffe to readNetFromONNX: the command, the lines that it prints, the page about it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from golden_suite import ROOT
from opencv_layouts import LAYOUTS, write_layout
from published_weights import publish

from vggrepro.cli.migrate_opencv import main
from vggrepro.graph.reference import reference_forward
from vggrepro.net import load_net

PAGE = Path(__file__).parents[2] / "docs" / "from-readnetfromcaffe.md"
NEEDS_5 = pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 5 is not installed")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return cv2.imread(str(ROOT / "images" / "astronaut.jpg"))


def printed(text: str) -> list[str]:
    """The lines of Python that the command printed."""
    return [line[4:] for line in text.partition("Python:\n\n")[2].partition("\n\nC++")[0].splitlines()]


def blocks() -> dict[str, str]:
    """The page's pieces of Python, by the marks before them."""
    return dict(re.findall(r"<!-- ([^>]+?) -->\n```python\n(.+?)```", PAGE.read_text(), re.DOTALL))


def run(code: str, **names: Any) -> dict[str, Any]:
    scope: dict[str, Any] = {"cv2": cv2, "np": np, **names}
    exec(code, scope)
    return scope


CHECKS = {
    "MobileNetSSD_deploy": lambda scope: len(scope["found"]) >= 0 and scope["net"].forward().shape[3] == 7,
    "res10_300x300_ssd": lambda scope: scope["detections"].shape == (1, 1, 200, 7),
    "pose_iter_440000": lambda scope: scope["maps"].shape == (57, 46, 46) and len(scope["points"]) == 18,
    "age_net": lambda scope: scope["age"] in scope["ages"],
    "colorization_v2": lambda scope: scope["coloured"].shape == scope["image"].shape,
}


@NEEDS_5
@pytest.mark.filterwarnings("ignore:.*it may have been cut off")
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_layout(
    name: str,
    tmp_path: Path,
    image: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    prototxt, weights = write_layout(tmp_path, name)
    if f"{name} points" in blocks():
        np.save("pts_in_hull.npy", np.random.default_rng(0).uniform(-90, 90, (313, 2)))
        assert main([prototxt, weights, "-o", f"{name}.onnx"]) == 0
        plain = Path(f"{name}.onnx").read_bytes()
        run(blocks()[f"{name} points"])
        weights = "with_points.caffemodel"
    assert main([prototxt, weights, "-o", f"{name}.onnx"]) == 0
    assert CHECKS[name](run(blocks()[name], image=image))
    if f"{name} points" in blocks():
        assert Path(f"{name}.onnx").read_bytes() != plain
    net = load_net(prototxt, weights)
    ((blob, shape),) = net.inputs.items()
    picture = image if shape[1] == 3 else image[..., 0]
    scope = run("\n".join(printed(capsys.readouterr().out.rpartition("opencv 5")[2])), image=picture)
    (output,) = net.returned
    want = reference_forward(net, {blob: scope["blob"].astype(np.float64)})[output]
    got = scope[output]
    if got.shape[3:] == (7,):  # zeros where SSD has -1
        want = np.where((want[..., 1:2] < 0), 0, want)
    np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())


OPENCV4 = os.environ.get("OPENCV4_PYTHON", "")


@NEEDS_5
@pytest.mark.skipif(not OPENCV4, reason="OPENCV4_PYTHON names no interpreter with OpenCV 4")
@pytest.mark.filterwarnings("ignore:.*it may have been cut off")
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_importer_of_opencv_4_agrees(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_layout(tmp_path, name)
    assert main([*files, "-o", str(tmp_path / "m.onnx"), "--opencv4", OPENCV4]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["readNetFromCaffe"] * 2 + ["opencv"] * 2


FAKE = """import numpy as np
from pathlib import Path
__version__ = "4.99.0"
class Net:
    def setInput(self, array, name):
        pass
    def forward(self, names):
        return [np.full((1, 8), {value}, np.float32) for _ in names]
class dnn:
    @staticmethod
    def readNetFromCaffe(prototxt, weights):
        assert Path(prototxt).is_file() and Path(weights).is_file()
        return Net()
def Mat(array):
    return array
"""


def fake_python(folder: Path, value: float) -> str:
    """An interpreter whose cv2 is an OpenCV 4 that always answers the same."""
    (folder / "fake").mkdir()
    (folder / "fake" / "cv2.py").write_text(FAKE.format(value=value))
    script = folder / "python4"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}/fake:$PYTHONPATH" exec {os.sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_an_importer_that_differs_stops_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_layout(tmp_path, "age_net")
    code = main([*files, "-o", str(tmp_path / "m.onnx"), "--opencv4", fake_python(tmp_path, 7)])
    assert code == 1
    first = capsys.readouterr().err.splitlines()[0]
    assert "m.onnx: not written: readNetFromCaffe 4.99.0 (" in first
    assert "output 'prob' is off by" in first
    assert not (tmp_path / "m.onnx").exists()


@NEEDS_5
def test_the_arguments_for_a_published_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_layout(tmp_path, "age_net")
    publish(monkeypatch, Path(files[1]), "bvlc_googlenet", scale="0.5", channel_order="RGB")
    out = tmp_path / "m.onnx"
    assert main([*files, "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert printed(text) == [
        f"net = cv2.dnn.readNetFromONNX({str(out)!r})",
        "blob = cv2.dnn.blobFromImage(image, 0.5, (227, 227), (123, 117, 104), swapRB=True)",
        "net.setInput(blob, 'data')",
        "# prob: 1 x 8",
        "prob = net.forward('prob')",
    ]
    assert "    cv::Mat blob = cv::dnn::blobFromImage(image, 0.5, cv::Size(227, 227)," in text
    assert "cv::Scalar(123, 117, 104), true);" in text


@NEEDS_5
def test_the_outputs_of_the_old_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_layout(tmp_path, "age_net")
    out = tmp_path / "m.onnx"
    assert main([*files, "-o", str(out), "--outputs", "fc7,conv1,relu1"]) == 0
    assert (
        printed(capsys.readouterr().out)[-1] == "fc7, conv1, relu1 = net.forward(['fc7', 'conv1', 'relu1'])"
    )
    net = cv2.dnn.readNetFromONNX(str(out))
    assert net.getUnconnectedOutLayersNames() == ("fc7", "conv1", "relu1")
    net.setInput(np.random.default_rng(0).normal(0, 50, (2, 3, 227, 227)).astype(np.float32))
    _, conv1, relu1 = net.forward(["fc7", "conv1", "relu1"])
    assert conv1.min() < 0  # as OpenCV 4 gives it, before the ReLU in place
    np.testing.assert_array_equal(relu1, np.maximum(conv1, 0))
    with pytest.raises(cv2.error):
        net.forward("fc6")


def test_an_output_that_opencv_4_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_layout(tmp_path, "age_net")
    assert main([*files, "-o", str(tmp_path / "m.onnx"), "--outputs", "prob,fc9"]) == 2
    error = capsys.readouterr().err
    assert "--outputs: OpenCV 4 has no layer 'fc9' in " in error
    assert "expected some of data, conv1, relu1" in error


def test_missing_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["none.prototxt", "none.caffemodel", "-o", str(tmp_path / "m.onnx")]) == 2
    assert "none.prototxt" in capsys.readouterr().err

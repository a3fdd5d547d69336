"""classify: python/classify.py's arguments, by what caffe.Classifier answers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from caffe_nets import caffe
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as module

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 10 dim: 3 dim: 8 dim: 9 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param {
  num_output: 5 weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options for a net in the working directory, which has images as well."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    module.Net("net.prototxt", module.TEST).save("w.caffemodel")
    rng = np.random.default_rng(5)
    (tmp_path / "pics").mkdir()
    for name in ("b.jpg", "a.jpg", "c.png"):
        cv2.imwrite(f"pics/{name}", rng.integers(0, 256, (20, 30, 3)).astype(np.uint8))
    return ["--model_def=net.prototxt", "--pretrained_model=w.caffemodel", "--images_dim=12,14"]


def expected(files: list[str], oversample: bool, **options: object) -> np.ndarray:
    classifier = module.Classifier(
        "net.prototxt", "w.caffemodel", image_dims=(12, 14), **{"raw_scale": 255.0, **options}
    )
    return classifier.predict([module.io.load_image(file) for file in files], oversample)


def test_a_folder(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert caffe("classify", "pics", "out.npy", "--mean_file=", *model) == 0
    told = capsys.readouterr().out
    assert told.startswith("CPU mode\n") and "Classifying 2 inputs." in told
    assert_array_equal(
        np.load("out.npy"), expected(["pics/a.jpg", "pics/b.jpg"], True, channel_swap=(2, 1, 0))
    )


def test_one_image_with_all_options(model: list[str]) -> None:
    np.save("mean.npy", np.full((3, 4, 5), 100.0))
    options = ["--mean_file=mean.npy", "--center_only", "--channel_swap=0,1,2", "--input_scale=0.5"]
    assert caffe("classify", "pics/c.png", "out", "--raw_scale=128", *options, *model) == 0
    wanted = expected(
        ["pics/c.png"], False, mean=np.full(3, 100.0), channel_swap=(0, 1, 2), input_scale=0.5, raw_scale=128
    )
    assert_allclose(np.load("out.npy"), wanted, rtol=1e-5)


def test_an_array_and_a_png_folder(model: list[str]) -> None:
    images = np.random.default_rng(1).random((2, 12, 14, 3)).astype(np.float32)
    np.save("images.npy", images)
    assert caffe("classify", "images.npy", "out.npy", "--mean_file=", *model) == 0
    assert np.load("out.npy").shape == (2, 5)
    assert caffe("classify", "pics", "out.npy", "--mean_file=", "--ext=png", *model) == 0
    assert np.load("out.npy").shape == (1, 5)


def test_errors(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert caffe("classify", "pics", "out.npy", "--mean_file=", "--ext=gif", *model) == 2
    assert "pics: no files *.gif in this folder" in capsys.readouterr().err
    assert caffe("classify", "pics", "out.npy", *model) == 2
    assert "ilsvrc_2012_mean.npy" in capsys.readouterr().err
    assert not Path("out.npy").exists()

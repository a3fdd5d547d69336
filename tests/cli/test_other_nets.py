"""Evaluation, classification and features of nets with other conventions than VGG's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.cli import classify, eval_ilsvrc, extract_features
from vggrepro.net import load_net

CROP, SIDE = 4, 6
"""The net's input and the images that it is cropped from, in pixels."""


def write_net(folder: Path, channels: int) -> tuple[Path, Path]:
    """A net whose scores are its input's values: deploy prototxt and caffemodel."""
    size = channels * CROP * CROP
    deploy, weights = folder / "net.prototxt", folder / "net.caffemodel"
    deploy.write_text(
        f'name: "flat" layer {{ name: "data" type: "Input" top: "data" input_param {{'
        f" shape {{ dim: 1 dim: {channels} dim: {CROP} dim: {CROP} }} }} }}"
        f'layer {{ name: "fc" type: "InnerProduct" bottom: "data" top: "fc"'
        f"  inner_product_param {{ num_output: {size} }} }}"
    )
    blobs = {"fc": [np.eye(size, dtype=np.float32), np.zeros(size, np.float32)]}
    write_caffemodel(weights, load_net(deploy).message, blobs)
    return deploy, weights


class Case:
    """A picture, a net for it, and the net's input under the options of a run."""

    def __init__(self, folder: Path, channels: int = 3) -> None:
        self.folder = folder
        (folder / "images").mkdir()
        self.pixels = np.random.default_rng(1).integers(0, 256, (7, 11, 3), dtype=np.uint8)
        self.image = folder / "images" / "a.png"
        cv2.imwrite(str(self.image), self.pixels)
        deploy, weights = write_net(folder, channels)
        self.net = ["--weights", f"flat={weights}", "--deploy", str(deploy), "--threads", "1"]

    def run(self, *options: str, flip: bool = False) -> np.ndarray:
        """What the net sees of the picture's centre: (C, CROP, CROP)."""
        out = self.folder / "features.npy"
        views = ["--protocol", "centre", "--scales", str(SIDE), "--flip" if flip else "--no-flip"]
        kept = ["--blob", "fc", "--normalise", "none", "-o", str(out)]
        argv = [str(self.image.parent), *self.net, *views, *kept, *options]
        assert extract_features.main(argv) == 0
        (row,) = np.load(out)
        return row.reshape(-1, CROP, CROP)

    def warped(self) -> np.ndarray:
        """The picture as convert_imageset stores it: (3, SIDE, SIDE)."""
        return cv2.resize(self.pixels, (SIDE, SIDE)).transpose(2, 0, 1).astype(np.float32)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def centre(array: np.ndarray) -> np.ndarray:
    margin = (SIDE - CROP) // 2
    return array[..., margin : margin + CROP, margin : margin + CROP]


def test_scale_and_channel_order(case: Case) -> None:
    options = ["--resize", "warp", "--mean", "10,20,30", "--scale", "0.017"]
    expected = centre((case.warped() - np.float32([10, 20, 30])[:, None, None]) * np.float32(0.017))
    np.testing.assert_allclose(case.run(*options), expected, rtol=1e-6)
    np.testing.assert_allclose(case.run(*options, "--channel-order", "rgb"), expected[::-1], rtol=1e-6)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_a_mean_image_is_cropped_with_the_picture(case: Case, tmp_path: Path, order: str) -> None:
    mean = np.random.default_rng(2).uniform(0, 255, (3, SIDE, SIDE)).astype(np.float32)
    np.save(tmp_path / "mean.npy", mean)
    options = ["--resize", "warp", "--mean", str(tmp_path / "mean.npy"), "--channel-order", order]
    picture = case.warped() if order == "bgr" else case.warped()[::-1]
    expected = centre(picture - mean)
    np.testing.assert_allclose(case.run(*options), expected, rtol=1e-5, atol=1e-4)
    # Caffe subtracts the mean first and mirrors then.
    both = (expected + expected[..., ::-1]) / 2
    np.testing.assert_allclose(case.run(*options, flip=True), both, rtol=1e-5, atol=1e-4)
    over_pixels = centre(picture - mean.mean(axis=(1, 2))[:, None, None])
    found = case.run(*options, "--mean-as", "pixel")
    np.testing.assert_allclose(found, over_pixels, rtol=1e-4, atol=1e-3)


def test_a_grey_net(tmp_path: Path) -> None:
    case = Case(tmp_path, channels=1)
    grey = cv2.imread(str(case.image), cv2.IMREAD_GRAYSCALE)
    expected = centre(cv2.resize(grey, (SIDE, SIDE))[None].astype(np.float32)) - 33
    np.testing.assert_allclose(case.run("--resize", "warp", "--mean", "33"), expected, rtol=1e-6)


def argv(case: Case, *options: str) -> list[str]:
    return [str(case.image), *case.net, "--scales", str(SIDE), "--protocol", "centre", *options]


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (1, [], "flat: its input has 1 channel, but the mean pixel is 103.939,116.779,123.68"),
        (3, ["--mean", "m.npy"], "m.npy: a mean image of 5 x 6, but {image} is rescaled to 6 x 9; expected"),
        (3, ["--mean", "grey.npy"], "grey.npy: a mean image of 1 channels, but flat's input has 3"),
        (3, ["--mean-as", "pixel"], "--mean-as pixel: expected --mean FILE"),
        (3, ["--mean", "nothing.npy"], "nothing.npy: Could not open"),
    ],
)
def test_means_that_do_not_fit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    channels: int,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("m.npy", np.zeros((3, 5, 6)))
    np.save("grey.npy", np.zeros((1, 6, 6)))
    case = Case(tmp_path, channels)
    assert classify.main(argv(case, *options, "--on-bad-image", "skip")) == 2
    (line,) = [t for t in capsys.readouterr().err.splitlines() if not t.startswith("warning: no --mean")]
    assert message.format(image=case.image) in line


def evaluated(case: Case, *options: str) -> dict[str, Any]:
    out = case.folder / "result.json"
    views = ["--protocol", "centre", "--scales", str(SIDE), "--json", str(out)]
    assert eval_ilsvrc.main([*case.net, *views, "--images", str(case.image.parent), *options]) == 0
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def test_evaluation_says_how_pixels_were_changed(case: Case, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("a.png 0\n")
    np.save(tmp_path / "mean.npy", np.zeros((3, SIDE, SIDE)))
    options = ["--resize", "warp", "--scale", "0.5", "--channel-order", "rgb"]
    mean = ["--mean", str(tmp_path / "mean.npy")]
    settings = evaluated(case, "--labels", str(tmp_path / "val.txt"), *options, *mean)["settings"]
    expected = {"resize": "warp", "scale": 0.5, "channel_order": "rgb"}
    assert settings["reading"].items() >= expected.items()
    assert len(settings["networks"][0]["mean_image_sha256"]) == 64

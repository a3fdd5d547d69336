"""The show command: each picture is what its makers give for what the options say."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro.cli.show import main
from vggrepro.data.augment import Augmentation
from vggrepro.evaluation import demo
from vggrepro.evaluation.image_posteriors import image_files
from vggrepro.evaluation.measuring.rescaled_image import ImageReading, read_rescaled
from vggrepro.net import load_net
from vggrepro.pictures.augmentation_grid import augmented_crops
from vggrepro.pictures.sheet import grid, grid_places
from vggrepro.pictures.view_sheet import view_sheet

IMAGE = ROOT / "images" / "astronaut.jpg"
NET, WEIGHTS = str(demo.FILES.deploy), str(demo.FILES.weights)


def shown(path: Path, *command: object) -> np.ndarray:
    assert main([*map(str, command), "-o", str(path)]) == 0
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_views(tmp_path: Path) -> None:
    options = ["--scales", "64,96", "--crop", "56", "--kernel", "cubic", "--centre", "matcaffe"]
    picture = shown(tmp_path / "v.png", "views", IMAGE, *options)
    reading = ImageReading(kernel="cubic", centre="matcaffe")
    image = read_rescaled(image_files([IMAGE]), 0, (64, 96), reading)
    assert (picture == view_sheet(image, 56).pixels).all()


def test_views_of_the_paper(tmp_path: Path) -> None:
    image = read_rescaled(image_files([IMAGE]), 0, (256, 384, 512), ImageReading())
    assert (shown(tmp_path / "v.png", "views", IMAGE) == view_sheet(image, 224).pixels).all()


def test_augmentation(tmp_path: Path) -> None:
    options = ["--smallest", "64,96", "--crop", "56", "--count", "5", "--seed", "3", "--colour", "none"]
    picture = shown(
        tmp_path / "a.png", "augmentation", IMAGE, *options, "--no-flip", "--offsets", "caffe2013"
    )
    draws = Augmentation((64, 96), 56, flip=False, colour=None, offsets="caffe2013")
    pixels = image_files([IMAGE]).decoded(0).pixels
    assert (picture == grid(augmented_crops(pixels, draws, 3, 5), gap=4)).all()


def test_filters_can_be_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the file and the range that is printed."""
    picture = shown(tmp_path / "f.png", "filters", NET, WEIGHTS, "--zoom", "5")
    filters = load_net(NET, WEIGHTS).params["conv1_1:0"]
    words = capsys.readouterr().out.split()
    least, most = float(words[-3]), float(words[-1])
    for weights, (top, left) in zip(filters, grid_places(len(filters), 15, 15, 1), strict=True):
        levels = picture[top + 2 : top + 15 : 5, left + 2 : left + 15 : 5].astype(float)
        values = least + levels * (most - least) / 255
        assert np.abs(values.transpose(2, 0, 1) - weights).max() < (most - least) / 500


def test_filters_of_nets_that_read_rgb(tmp_path: Path) -> None:
    bgr = shown(tmp_path / "b.png", "filters", NET, WEIGHTS)
    rgb = shown(tmp_path / "r.png", "filters", NET, WEIGHTS, "--channel-order", "rgb")
    assert (bgr == rgb[..., ::-1]).all()
    assert (bgr != rgb).any()


def test_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["features", NET, WEIGHTS, IMAGE, "--protocol", "centre", "--scales", "72"]
    one = shown(tmp_path / "one.png", *command)
    assert "conv1_1: 16 maps" in capsys.readouterr().out
    assert one.shape[0] > 4 * 64 and one.shape[1] > 4 * 64
    assert (one != shown(tmp_path / "mean.png", *command, "--mean", "0,0,200")).any()
    deeper = shown(tmp_path / "deeper.png", *command, "--blob", "conv5_1", "--zoom", "4")
    assert deeper.shape != one.shape


def test_a_net(tmp_path: Path) -> None:
    assert main(["net", NET, "-o", str(tmp_path / "n.svg"), "--input-shape", "data=1,3,32,32"]) == 0
    text = "".join(ElementTree.parse(tmp_path / "n.svg").getroot().itertext())
    assert "conv1_1Convolution1 x 16 x 32 x 32" in text


@pytest.mark.parametrize("command", [["views"], ["augmentation"], ["features", NET, WEIGHTS]], ids=str)
def test_an_image_that_ends_early_is_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(IMAGE.read_bytes()[:6000])
    assert main([*command, str(cut), "-o", str(tmp_path / "x.png")]) == 0
    assert f"warning: {cut}: ends early" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["views", IMAGE, "-o", "x.jpg"], "x.jpg: expected a name that ends in .png"),
        (["net", NET, "-o", "x.png"], "x.png: expected a name that ends in .svg"),
        (["views", IMAGE, "-o", "x.png", "--scales", "100"], "is smaller than a crop of 224"),
        (["views", NET, "-o", "x.png"], "VGG_A_digits_deploy.prototxt"),
        (["augmentation", IMAGE, "-o", "x.png", "--crop", "300"], "expected 0 < crop <= least"),
        (["features", NET, WEIGHTS, IMAGE, "-o", "x.png", "--blob", "conv1_l"], "did you mean 'conv1_1'"),
        (["augmentation", IMAGE, "-o", "x.png", "--colour", "none", "--colour-std", "1"], "--colour-std: "),
        (["filters", NET, WEIGHTS, "-o", "x.png", "--zoom", "9999"], "the picture has"),
    ],
)
def test_mistakes(
    command: list[object],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(list(map(str, command))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and told in line
    assert list(tmp_path.iterdir()) == []


def test_the_image_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "i.png"
    cv2.imwrite(str(image), np.zeros((300, 300, 3), np.uint8))
    assert main(["views", str(image), "-o", str(image)]) == 2
    assert "is read, and would be overwritten" in capsys.readouterr().err


def test_no_picture_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "required: PICTURE" in capsys.readouterr().err


@pytest.mark.parametrize("place", [0, 3])
def test_traceback_may_stand_anywhere(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["net", "nowhere", "-o", "x.svg"]
    command.insert(place, "--traceback")
    if place == 3:
        command = ["net", "nowhere", "--traceback", "-o", "x.svg"]
    assert main(command) == 2
    assert "Traceback" in capsys.readouterr().err

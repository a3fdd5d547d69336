import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from vggrepro.cli.classify import main
from vggrepro.evaluation import demo


@pytest.fixture
def digits(tmp_path):
    """The first three images of the demo as files."""
    with tarfile.open(demo.IMAGES) as archive:
        names = sorted(archive.getnames())[:3]
        archive.extractall(tmp_path, members=names, filter="data")
    return [str(tmp_path / name) for name in names]


def test_the_embedded_network_names_digits(digits, tmp_path, capsys):
    assert main([*digits, "--json", str(tmp_path / "r.json")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == digits[0]
    assert len(printed) == 3 * 6
    found = json.loads((tmp_path / "r.json").read_text())["images"]
    expected = demo.expected_posteriors()["dense_Q72_noflip"]
    for image, posterior in zip(found, expected, strict=False):
        order = np.argsort(-posterior, kind="stable")[:5]
        assert [g["label"] for g in image["guesses"]] == order.tolist()
        assert [g["probability"] for g in image["guesses"]] == pytest.approx(
            posterior[order].tolist(), abs=1e-4
        )
        assert image["guesses"][0]["name"].startswith("n9000000")


def test_any_protocol(digits, tmp_path, capsys):
    options = ["--protocol", "both", "--scales", "72", "--flip", "--top", "10"]
    assert main([digits[1], *options, "--json", str(tmp_path / "r.json")]) == 0
    (image,) = json.loads((tmp_path / "r.json").read_text())["images"]
    expected = demo.expected_posteriors()["both_Q72_flip"][1]
    found = {g["label"]: g["probability"] for g in image["guesses"]}
    assert [found[label] for label in range(10)] == pytest.approx(expected.tolist(), abs=1e-4)


def test_an_own_network_without_names(nets, images, capsys):
    network = ["--weights", f"one={nets[0].weights}", "--deploy", str(nets[0].deploy), "--scales", "10"]
    assert main([str(images / "images" / "val_000.png"), *network, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "class " in lines[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nothing.jpg"], "nothing.jpg: Could not open or find file"),
        ([__file__], "no readable image"),
        (["x.jpg", "--deploy", "y.prototxt"], "no network"),
        (["x.jpg", "--demo", "--weights", "w"], "--demo brings its own"),
        (["x.jpg", "--mean", "1,2,3"], "--mean: --demo brings its own"),
        (["x.jpg", "--json", "nothing/r.json"], "nothing: No such file"),
        (["x.jpg", "--protocol", "centre", "--scales", "10"], "smaller than"),
        (["x.jpg", "--synsets", "none.txt"], "none.txt"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(options, message, capsys):
    assert main(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_bad_image_is_named_and_the_others_are_classified(digits, tmp_path, capsys):
    with Path(digits[1]).open("r+b") as file:
        file.truncate(1000)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    images = [digits[0], str(tmp_path / "bad.jpg"), digits[1]]
    assert main(images) == 2
    assert "bad.jpg" in capsys.readouterr().err
    assert main([*images, "--on-bad-image", "skip", "--json", str(tmp_path / "r.json")]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[6:8] == images[1:]  # nothing is said of the bad one
    assert f"warning: {images[1]}: Could not open" in printed.err
    assert f"warning: {images[2]}: ends early" in printed.err
    whole, bad, cut = json.loads((tmp_path / "r.json").read_text())["images"]
    assert [len(image["guesses"]) for image in (whole, bad, cut)] == [5, 0, 5]
    assert "problem" not in whole
    assert "ends early" in cut["problem"]

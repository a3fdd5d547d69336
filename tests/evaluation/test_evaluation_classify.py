import json
import tarfile

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
        (["x.jpg", "--protocol", "centre", "--scales", "10"], "smaller than"),
        (["x.jpg", "--synsets", "none.txt"], "none.txt"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(options, message, capsys):
    assert main(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line

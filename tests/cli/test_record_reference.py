"""record_reference and check_reference together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro.cli.check_reference import main as check
from vggrepro.cli.record_reference import main as record

LENET = ROOT / "nets" / "lenet_test"
FILES = [str(LENET / "net.prototxt"), str(LENET / "weights.caffemodel")]


def test_recorded_then_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = tmp_path / "case"
    assert record([*FILES, "--case", str(case)]) == 0
    assert capsys.readouterr().out == f"{case}: 8 blobs; check_reference compares them\n"
    assert check([str(case)]) == 0
    assert record([*FILES, "--case", str(case)]) == 0  # again, in its place


def test_images_of_ones_own(tmp_path: Path) -> None:
    with np.load(LENET / "io.npz") as arrays:
        fed = {key[3:]: arrays[key] for key in arrays.files if key.startswith("in:")}
        out = {key: arrays[key] for key in arrays.files if key.startswith("out:")}
    for name, array in fed.items():
        np.save(tmp_path / f"{name}.npy", array)
    given = [text for name in fed for text in ("--feed", f"{name}={tmp_path / name}.npy")]
    assert record([*FILES, "--case", str(tmp_path / "case"), *given]) == 0
    with np.load(tmp_path / "case" / "io.npz") as arrays:
        for key, array in out.items():  # what real Caffe answered
            np.testing.assert_allclose(arrays[key], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--feed", "{x}"], "expected BLOB=FILE.npy, BLOB one of data, label"),
        (["--feed", "dta={x}"], "the net has no input 'dta'; it has data, label; did you mean 'data'?"),
        (["--feed", "data={x}"], "shape (2,), expected"),
        (["--feed", "data={text}"], "not a .npy file"),
        (["--feed", "data={none}"], "No such file or directory"),
        (["--feed", "data={words}"], "expected one array of numbers"),
    ],
)
def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    np.save(tmp_path / "x.npy", np.zeros(2, np.float32))
    np.save(tmp_path / "words.npy", np.array(["a"]))
    (tmp_path / "text").write_text("no array")
    places = {name: str(tmp_path / file) for name, file in
              {"x": "x.npy", "words": "words.npy", "text": "text", "none": "none.npy"}.items()}  # fmt: skip
    filled = [argument.format(**places) for argument in arguments]
    assert record([*FILES, "--case", str(tmp_path / "case"), *filled]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "case").exists()


def test_a_case_is_not_written_over_its_own_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.prototxt").write_bytes((LENET / "net.prototxt").read_bytes())
    assert record([str(tmp_path / "net.prototxt"), FILES[1], "--case", str(tmp_path)]) == 2
    assert "is read, and would be overwritten" in capsys.readouterr().err


def test_a_net_lacks_its_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record([FILES[0], "--case", str(tmp_path / "case")]) == 2
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "case").exists()

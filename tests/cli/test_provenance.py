"""Where a model comes from: metadata and card, the same in every run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from golden_suite import ROOT

from vggrepro.cli.convert_caffemodel import main
from vggrepro.cli.provenance import made_by, measured_error

FOLDER = ROOT / "nets" / "alexnet_like"
FILES = (str(FOLDER / "net.prototxt"), str(FOLDER / "weights.caffemodel"))


def said(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def classes() -> int:
    with np.load(FOLDER / "io.npz") as io:
        return io["out:prob"].shape[1]


def test_what_a_model_says(tmp_path: Path) -> None:
    out, names = tmp_path / "m.onnx", tmp_path / "names.txt"
    names.write_text("".join(f"thing {number}\n" for number in range(classes())))
    options = ["--verify", "--verify-with", "onnxruntime,opencv", "--target", "opencv5", "--fp16"]
    command = [*FILES, "-o", str(out), *options, "--tolerance", "0.01", "--synsets", str(names)]
    assert main(command) == 0
    found = said(out)
    assert found["command"].startswith("vggrepro convert-caffemodel ") and str(out) in found["command"]
    assert found["target"] == "opencv5"
    assert f"onnx {onnx.__version__}" in found["library_versions"]
    assert json.loads(found["class_names"])[3] == "thing 3"
    error = found["measured_error"].split("; ")
    assert [part.split(" ", 1)[1].split(" (")[0] for part in error] == [
        "in onnxruntime, every blob",
        *[f"in onnxruntime {onnxruntime.__version__}"] * 2,
        *[f"in opencv {__import__('cv2').__version__}"] * 2,
        "by float16 weights",
    ]
    assert 1e-9 < float(error[0].split()[0]) < 1e-5 < float(error[-1].split()[0]) < 1e-2


def test_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    files, card = [], tmp_path / "card.md"
    options = ["--verify", "--verify-with", "onnxruntime,opencv", "--target", "opencv5", "--card", str(card)]
    for _ in range(2):
        assert main([*FILES, "-o", str(tmp_path / "m.onnx"), *options]) == 0
        files.append(((tmp_path / "m.onnx").read_bytes(), card.read_bytes()))
        card.unlink()
    assert files[0] == files[1]


def test_the_card(tmp_path: Path) -> None:
    out, card = tmp_path / "m.onnx", tmp_path / "m.md"
    options = ["--embed-preprocessing", "--mean", "104,117,123", "--verify", "--external-data"]
    assert main([*FILES, "-o", str(out), *options, "--card", str(card)]) == 0
    text = card.read_text()
    for path in (out, Path(f"{out}.data"), *map(Path, FILES)):
        assert f"| {path.name} | {hashlib.sha256(path.read_bytes()).hexdigest()} |" in text
    assert "| data | uint8 | N x " in text
    assert "- preprocessing left: decode to 0-255; resize or crop to height" in text
    assert "in onnxruntime, every blob (pixels from 0 to 255)" in text
    assert "--embed-preprocessing" in text


def test_no_card_of_a_model_that_was_not_written(tmp_path: Path) -> None:
    options = ["--verify", "--tolerance", "0", "--card", str(tmp_path / "m.md")]
    assert main([*FILES, "-o", str(tmp_path / "m.onnx"), *options]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_number_of_classes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tmp_path / "names.txt"
    names.write_text("one\ntwo\n")
    assert main([*FILES, "-o", str(tmp_path / "m.onnx"), "--synsets", str(names)]) == 2
    assert f"2 classes, but the network's outputs have {classes()}" in capsys.readouterr().err


def test_nothing_measured_nothing_said() -> None:
    assert measured_error({"tolerance": 1e-4}) == {}
    assert made_by("vggrepro x", ["a b"], "web")["command"] == "vggrepro x 'a b'"

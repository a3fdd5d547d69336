"""Published models among the files of a command."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from published_weights import publish

from vggrepro.cli import recognised
from vggrepro.cli.inspect_net import main as inspect
from vggrepro.cli.recognised import recognise

PUBLISHED = Path(__file__).parents[1] / "prototxt_published"
VGG16 = PUBLISHED / "VGG_ILSVRC_16_layers_deploy.prototxt"


def test_a_definition_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    assert recognise(str(VGG16), None).names == ["VGG_ILSVRC_16_layers"]
    assert inspect([str(VGG16)]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("published model: VGG-16 (VGG_ILSVRC_16_layers); keep-aspect smallest side 384")


def test_weights_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(b"weights" * 999)
    publish(monkeypatch, path, "bvlc_googlenet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = recognise(str(tmp_path / "none.prototxt"), str(path))
    assert found.names == ["bvlc_googlenet"]
    assert found.facts()["licence"] == "unrestricted use (BVLC model licence)"
    (line,) = found.lines()
    assert "channels BGR; classes caffe synset_words" in line
    assert found.facts()["published_model"] == "BVLC GoogLeNet (bvlc_googlenet)"


def test_files_of_different_models_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(b"weights" * 999)
    publish(monkeypatch, path, "bvlc_googlenet")
    with pytest.warns(UserWarning, match="is the definition of VGG-16 .*holds the weights of BVLC GoogLeNet"):
        recognise(str(VGG16), str(path))


def test_a_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bvlc_googlenet.caffemodel"
    path.write_bytes(b"x" * 5000)
    with pytest.warns(UserWarning, match="5000 bytes, but the published file of this name has 53533754"):
        assert recognise("none", str(path)) == recognised.Recognised()


def test_other_files_are_none(tmp_path: Path) -> None:
    path = tmp_path / "own.caffemodel"
    path.write_bytes(b"x" * 5000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recognise("none.prototxt", str(path)).names == []
        assert recognise("none.prototxt", "none.caffemodel").names == []


def test_a_published_mean_that_is_not_given_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(b"weights" * 999)
    publish(monkeypatch, path, "bvlc_googlenet")
    found = recognise("none.prototxt", str(path))
    with pytest.warns(UserWarning, match=r"BVLC GoogLeNet \(bvlc_googlenet\) has the mean 104,117,123"):
        found.hint_at_mean(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.hint_at_mean((104.0, 117.0, 123.0))
        recognised.Recognised().hint_at_mean(None)

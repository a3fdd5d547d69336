"""The work of ``convert_caffemodel``, called without the block that begins the digest."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import onnx
import pytest
from golden_suite import ROOT

from vggrepro.cli import conversion, convert_caffemodel
from vggrepro.cli.conversion import convert
from vggrepro.system import file_digest

NET, WEIGHTS = (ROOT / "nets" / "lenet_test" / name for name in ("net.prototxt", "weights.caffemodel"))


@pytest.mark.parametrize("name", ["weights.caffemodel", "weights.bin", "two words"])
def test_weights_are_digested_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    weights = Path(shutil.copy(WEIGHTS, tmp_path / name))
    for command in (convert, convert_caffemodel.main):
        assert command((str(NET), str(weights), "-o", str(tmp_path / "m.onnx"))) == 0
        told = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
        assert told["weights_sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def test_the_digest_begins_before_the_options_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(command: tuple[str, ...]) -> int:
        assert command == (str(NET), str(WEIGHTS))
        return len(file_digest._begun)

    monkeypatch.setattr(conversion, "convert", begun)
    assert convert_caffemodel.main([str(NET), str(WEIGHTS)]) == 1
    assert not file_digest._begun


def test_a_digest_of_what_are_not_the_weights_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert_caffemodel.main([str(WEIGHTS), str(NET), "-o", str(tmp_path / "m.onnx")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(SystemExit, match="0"):
        convert_caffemodel.main([str(WEIGHTS), "--help"])
    assert not file_digest._begun
    assert not list(tmp_path.iterdir())

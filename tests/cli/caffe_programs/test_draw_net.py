"""draw_net: the arguments reach caffe.draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from caffe_nets import caffe

from vggrepro.cli.caffe_programs import draw_net


def test_arguments(
    brewing: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(draw_net, "draw_net_to_file", lambda *arguments: drawn.append(arguments))
    assert caffe("draw_net", "net.prototxt", "out.png") == 0
    assert caffe("draw_net", "net.prototxt", "o.svg", "--rankdir=TB", "--phase", "TEST", "--display_lrm") == 0
    assert capsys.readouterr().out == "Drawing net to out.png\nDrawing net to o.svg\n"
    assert [call[1:] for call in drawn] == [("out.png", "LR", None, False), ("o.svg", "TB", 1, True)]
    assert [layer.name for layer in drawn[0][0].layer][:2] == ["data", "conv1"]


def test_a_missing_package_is_named_with_its_extra(
    brewing: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydot", None)
    assert caffe("draw_net", "net.prototxt", "out.png") == 2
    assert 'pip install "vggrepro[draw]"' in capsys.readouterr().err
    assert not (brewing / "out.png").exists()

"""The plot_training command: pictures from logs, ours and Caffe's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from training_logs import CAFFE, journal

from vggrepro.cli.plot_training import main


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_pictures(tmp_path: Path, suffix: str, magic: bytes) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "caffe.log").write_text(CAFFE)
    ours, output = journal(tmp_path / "run.jsonl"), tmp_path / f"curves{suffix}"
    options = ["-o", str(output), "--title", "both", "--error"]
    assert main([str(ours), f"real Caffe={tmp_path / 'caffe.log'}", *options]) == 0
    assert output.read_bytes().startswith(magic)
    if suffix == ".svg":
        assert "real Caffe" in output.read_text()


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log = str(journal(tmp_path / os.fsdecode(b"n\xff.jsonl")))
    output = tmp_path / "plot.svg"
    title = "$\\foo$ \x1b"
    assert main([log, f"$\\bar$={log}", "-o", str(output), "--title", title]) == 0
    drawn = output.read_text()
    for text in (r"$\foo$ \x1b", r"n\udcff", r"$\bar$"):
        assert f"<!-- {text}" in drawn


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(journal(tmp_path / "run.jsonl"))
    assert main([path, "-o", str(tmp_path / "x.gif")]) == 2
    assert main([path, "-o", str(tmp_path / "x.png"), "--size", "big"]) == 2
    error = capsys.readouterr().err
    assert "x.gif: expected one of .png, .svg, .pdf" in error
    assert "--size big: expected WxH" in error


@pytest.mark.parametrize("size", ["0x4", "9x-1", "nanx4", "9xinf", "9"])
def test_sizes_that_are_none(size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert main([str(journal(tmp_path / "run.jsonl")), "-o", str(tmp_path / "x.png"), "--size", size]) == 2
    assert f"--size {size}: expected WxH, as 9x4" in capsys.readouterr().err


def test_tables_need_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(journal(tmp_path / "run.jsonl")), "--csv", str(tmp_path / "out")]) == 0
    head, *rows = (tmp_path / "out.train").read_text().splitlines()
    assert head == "NumIters,Seconds,LearningRate,loss"
    assert [row.split(",")[0] for row in rows] == ["0", "10", "20", "30"]
    assert (tmp_path / "out.test").read_text().startswith("NumIters,Seconds,LearningRate,accuracy,loss\n40,")
    assert "out.train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "expected --output FILE or --csv PREFIX"),
        (["--csv", "t", "--title", "x"], "--title: expected --output with it"),
        (["LOG", "--csv", "t"], "--csv t: 2 logs, expected one"),
        (["--csv", "nowhere/t"], "nowhere: No such file"),
    ],
)
def test_tables_that_cannot_be_written(
    options: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = str(journal(tmp_path / "run.jsonl"))
    monkeypatch.chdir(tmp_path)
    assert main([log, *(log if option == "LOG" else option for option in options)]) == 2
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]

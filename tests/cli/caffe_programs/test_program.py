"""What Caffe's programs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.cli.caffe_programs.program import BackendFlags, logging, printed_help
from vggrepro.pycaffe import glog


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert not printed_help(["-backend=lmdb"], "tool FILE", BackendFlags)
    assert printed_help(["-help"], "tool FILE", BackendFlags)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: tool FILE" and lines[1].startswith("  -backend  the kind of the database")


def test_logging(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with logging(BackendFlags(minloglevel=1, log_dir=str(tmp_path)), "tool"):
        glog.log("not this")
        glog.warning("but this")
    glog.log("and this again")
    assert [line.split("] ")[1] for line in capfd.readouterr().err.splitlines()] == [
        "but this",
        "and this again",
    ]
    told = (tmp_path / "tool.INFO").read_text()
    assert "but this" in told and "this again" not in told and "not this" not in told


def test_a_log_file_that_cannot_be_written_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "open", lambda *_, **named: open("/dev/full", "w", **named))  # noqa: PTH123, SIM115
    with (
        pytest.raises(OSError, match="No space left") as caught,
        logging(BackendFlags(log_dir=str(tmp_path)), "tool"),
    ):
        glog.log("never said")
    assert caught.value.filename == "/dev/full"
    glog.log("a line for stderr alone")

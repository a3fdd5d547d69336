"""A run's log: how it survives a kill, and what it says of speed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from vggrepro.errors import DataError, LockError
from vggrepro.system.notes import quieted
from vggrepro.training.journal import Journal, Meter


def test_journal_cuts_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    first = Journal(path)
    first.event("train", 0, loss=1.5)
    first.close()
    with path.open("a") as file:
        file.write('{"event": "tra')
    second = Journal(path)
    second.event("train", 1, loss=1.25)
    second.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(e["event"], e["iteration"], e["loss"]) for e in entries] == [
        ("train", 0, 1.5),
        ("train", 1, 1.25),
    ]


def test_journal_cuts_a_file_that_is_one_torn_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"event"' + "x" * 100_000)
    Journal(tmp_path / "log").close()
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("text", ["notes", "notes\n", '{"other": 1}\n', "[]\n", '{"event": 1}\nx', "\n"])
def test_another_file_stays_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(DataError, match="log: not a training log, and left as it is"):
        Journal(tmp_path / "log")
    assert (tmp_path / "log").read_text() == text


def test_a_new_file_without_events_goes(tmp_path: Path) -> None:
    """A run that fails before it begins leaves nothing."""
    Journal(tmp_path / "log").close()
    assert not list(tmp_path.iterdir())
    (tmp_path / "log").touch()
    Journal(tmp_path / "log").close()
    assert (tmp_path / "log").exists()


def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    journal = Journal(tmp_path / "log")
    journal.event("train", 0)
    journal.close()
    assert '"train"' in (tmp_path / "log").read_text()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes of this kind")
def test_a_pipe_takes_the_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    journal = Journal(tmp_path / "pipe")
    journal.event("train", 3)
    journal.close()
    assert json.loads(os.read(reader, 1000))["iteration"] == 3
    os.close(reader)


def test_one_run_a_log(tmp_path: Path) -> None:
    first = Journal(tmp_path / "log")
    with pytest.raises(LockError, match="log: the log is in use by another process"):
        Journal(tmp_path / "log")
    first.close()
    Journal(tmp_path / "log").close()


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:3])))
    journal = Journal(tmp_path / "log")
    journal.event("train", 7, loss=1.5)
    journal.close()
    assert json.loads((tmp_path / "log").read_text())["loss"] == 1.5


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "log")
    journal.event("train", 0)
    whole = (tmp_path / "log").read_bytes()
    write, calls = os.write, [None]

    def fail_after_a_part(descriptor: int, data: bytes) -> int:
        if not calls:
            raise OSError(errno.ENOSPC, "No space left on device")
        calls.pop()
        return write(descriptor, bytes(data[:5]))

    monkeypatch.setattr(os, "write", fail_after_a_part)
    with pytest.raises(OSError, match="No space left on device") as error:
        journal.event("train", 1)
    assert error.value.filename == str(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == whole
    journal.close()


def test_silent_journal_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "log", silent=True)
    journal.event("train", 0)
    journal.say("hello")
    journal.warn("hello")
    journal.close()
    assert not (tmp_path / "log").exists()
    assert capsys.readouterr().err == ""


def test_quiet_leaves_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with quieted():
        Journal().say("hello")
        Journal().warn("odd")
    assert capsys.readouterr().err == "warning: odd\n"


def test_a_line_each_thirty_seconds_says_that_a_run_is_alive(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    journal = Journal(clock=lambda: now[0])
    for second in range(0, 80, 8):
        now[0] = float(second)
        journal.say_alive(f"alive at {second}")
        if second == 40:
            journal.say("displayed")
    assert capsys.readouterr().err.splitlines() == ["alive at 32", "displayed", "alive at 72"]


def test_meter_counts_steps_since_the_last_display() -> None:
    meter = Meter(images=10, iteration=0, last=100)
    meter.step(0.5, 0.1)
    meter.step(0.5, 0.4)
    first = meter.take(2)
    assert first["images_per_s"] == 20.0
    assert first["data_wait"] == 0.5
    assert first["seconds_left"] >= 0
    meter.step(1.0, 0.0)
    assert meter.take(3)["images_per_s"] == 10.0

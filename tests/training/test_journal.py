"""A run's log: how it survives a kill, and what it says of speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vggrepro.training.journal import Journal, Meter, duration


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


def test_silent_journal_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "log", silent=True)
    journal.event("train", 0)
    journal.say("hello")
    journal.close()
    assert not (tmp_path / "log").exists()
    assert capsys.readouterr().err == ""


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


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "00:00:00"), (3725, "01:02:05"), (2 * 86400 + 61, "2 d 00:01:01")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text

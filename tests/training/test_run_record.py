"""What a run remembers, which snapshots stay, and how the log survives a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggrepro.errors import SolverError
from vggrepro.training.journal import Journal, Meter, duration
from vggrepro.training.loop import facts_changed, latest, record_beside
from vggrepro.training.run_record import RunRecord, read_record, write_record
from vggrepro.training.snapshots import existing, surplus


def test_record_comes_back(tmp_path: Path) -> None:
    record = RunRecord(5, {"batch": 8, "smallest": [8, 12]}).with_accuracy(4, 0.1 + 0.2).with_loss(1 / 3, 5)
    write_record(tmp_path / "r.json", record)
    assert read_record(tmp_path / "r.json") == record


@pytest.mark.parametrize("text", ["", "[]", '{"seed": 1}', '{"seed": "x"}'])
def test_other_files_are_no_records(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(SolverError, match=r"r\.json: not a training record"):
        read_record(tmp_path / "r.json")


def test_smoothed_loss_is_the_mean_of_the_window() -> None:
    record = RunRecord(0)
    for loss in (1.0, 2.0, 3.0, 4.0):
        record = record.with_loss(loss, 3)
    assert record.smoothed_loss == 3.0


def test_best_is_the_first_of_equals() -> None:
    record = RunRecord(0).with_accuracy(4, 0.5).with_accuracy(8, 0.7).with_accuracy(12, 0.7)
    assert record.best == (8, 0.7)
    assert record.tested(12)
    assert not record.tested(8)


def test_drops_add_to_those_before_up_to_three() -> None:
    record = RunRecord(0, drops_before=2)
    for iteration in range(10):
        record = record.with_accuracy(iteration, 0.5)
    assert record.drops(patience=2) == 3
    assert record.drops(patience=20) == 2


@given(st.sets(st.integers(0, 100)), st.integers(0, 5), st.integers(0, 100))
def test_surplus_leaves_the_last_and_the_best(iterations: set[int], keep: int, best: int) -> None:
    left = iterations - set(surplus(iterations, keep, best))
    assert left >= set(sorted(iterations)[-keep:] if keep else iterations)
    assert (best in left) == (best in iterations)
    assert keep == 0 or len(left) <= keep + 1


def test_existing_snapshots(tmp_path: Path) -> None:
    for name in (
        "a_iter_5.solverstate", "a_iter_40.solverstate.h5", "a_iter_7.caffemodel",
        "ab_iter_9.solverstate", "a_iter_x.solverstate", ".a_iter_6.solverstate.123.tmp",
    ):  # fmt: skip
        (tmp_path / name).touch()
    prefix = str(tmp_path / "a")
    assert list(existing(prefix)) == [5, 40]
    assert list(existing(prefix, last=39)) == [5]
    assert latest(prefix) == tmp_path / "a_iter_40.solverstate.h5"
    assert latest(str(tmp_path / "no" / "a")) is None
    assert record_beside(tmp_path / "a_iter_40.solverstate.h5") == tmp_path / "a_iter_40.json"


def test_changed_facts_are_named() -> None:
    changes = facts_changed(RunRecord(0, {"batch": 8, "flip": True}), {"batch": 16, "flip": True, "new": 1})
    assert changes == ["batch: 8 before, 16 now"]


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

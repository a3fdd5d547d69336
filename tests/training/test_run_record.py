"""What a run remembers beside its snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.errors import SolverError
from vggrepro.training.run_record import RunRecord, facts_changed, read_record, write_record


def test_record_comes_back(tmp_path: Path) -> None:
    record = RunRecord(5, {"batch": 8, "smallest": [8, 12]}).with_accuracy(4, 0.1 + 0.2).with_loss(1 / 3, 5)
    write_record(tmp_path / "r.json", record)
    assert read_record(tmp_path / "r.json") == record


@pytest.mark.parametrize("text", ["", "[]", '{"seed": 1}', '{"seed": "x"}', '{"seed": 1e999}', "[" * 99999])
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


def test_changed_facts_are_named() -> None:
    changes = facts_changed(RunRecord(0, {"batch": 8, "flip": True}), {"batch": 16, "flip": True, "new": 1})
    assert changes == ["batch: 8 before, 16 now"]

"""Courses of training from logs, ours and Caffe's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from training_logs import CAFFE, CAFFE_2013, journal

from vggrepro.errors import ParseError
from vggrepro.training.curves import is_accuracy, read_curves
from vggrepro.training.journal import Journal


def test_our_log_after_a_kill(tmp_path: Path) -> None:
    """What was logged beyond the snapshot that the run went on from did not last."""
    curves = read_curves(journal(tmp_path / "run.jsonl"))
    assert curves.name == "run"
    assert curves.loss == [(0, 2.0), (10, 1.8), (20, 1.6), (30, 9.0)]
    assert curves.scores == {(0, "accuracy"): [(40, 0.5)], (0, "loss"): [(40, 0.5)]}


def test_a_torn_last_line_is_left_out_and_no_other(tmp_path: Path) -> None:
    path = journal(tmp_path / "run.jsonl")
    path.write_text(path.read_text() + '{"event": "tr')
    assert len(read_curves(path).loss) == 4
    path.write_text(path.read_text() + '\n{"event": "end", "iteration": 60}\n')
    with pytest.raises(ParseError, match=r"run\.jsonl:12: not a line of a training log"):
        read_curves(path)


def test_caffes_log(tmp_path: Path) -> None:
    (tmp_path / "caffe.log").write_text(CAFFE)
    curves = read_curves(tmp_path / "caffe.log", "real")
    assert curves.name == "real"
    assert curves.loss[:2] == [(0, 2.34), (100, 1.5e-05)]
    assert curves.loss[2][0] == 200
    assert curves.rate == [(0, 0.01), (100, 0.001)]
    assert curves.scores[0, "accuracy"] == [(0, 0.1015), (200, 0.9)]
    assert curves.scores[0, "loss"] == [(0, 2.35), (200, 0.25)]
    assert curves.scores[1, "accuracy"] == [(200, 0.8)]  # a blob of several elements
    assert curves.scores[1, "accuracy[1]"] == [(200, 0.7)]


def test_caffes_log_of_2013(tmp_path: Path) -> None:
    (tmp_path / "old.log").write_text(CAFFE_2013)
    curves = read_curves(tmp_path / "old.log")
    assert curves.loss == [(500, 0.35)]
    assert curves.scores == {(0, "score 0"): [(500, 0.905)], (0, "score 1"): [(500, 0.31)]}


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("nothing of interest\n")
    with pytest.raises(ParseError, match=r"x\.log: no losses and no test scores"):
        read_curves(tmp_path / "x.log")
    with pytest.raises(ParseError, match=r"none\.log: No such file"):
        read_curves(tmp_path / "none.log")


def test_what_counts_as_accuracy() -> None:
    assert all(map(is_accuracy, ("accuracy", "Accuracy_top5", "acc/top-1", "top5")))
    assert not any(map(is_accuracy, ("loss", "loss:total", "softmaxloss")))


def test_elements_in_a_journal(tmp_path: Path) -> None:
    log = Journal(tmp_path / "log")
    log.event("test", 5, net=0, scores={"per_class": [0.25, 1.0], "loss": 2.0})
    log.close()
    curves = read_curves(tmp_path / "log")
    assert curves.scores == {
        (0, "per_class"): [(5, 0.25)],
        (0, "per_class[1]"): [(5, 1.0)],
        (0, "loss"): [(5, 2.0)],
    }


@pytest.mark.parametrize("scores", ["null", "[1]", '{"a": null}', '{"a": [[1]]}'])
def test_scores_that_are_none(tmp_path: Path, scores: str) -> None:
    (tmp_path / "n.jsonl").write_text(f'{{"event":"test","iteration":1,"net":0,"scores":{scores}}}\n')
    with pytest.raises(ParseError, match=r"n\.jsonl:1: not a line of a training log"):
        read_curves(tmp_path / "n.jsonl")


def test_journal_lines_are_json(tmp_path: Path) -> None:
    lines = journal(tmp_path / "run.jsonl").read_text().splitlines()
    assert all({"event", "iteration", "time"} <= json.loads(line).keys() for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "train", "iteration": Infinity, "loss": 1, "rate": 1}',
        '{"event": "train", "iteration": 1e300, "loss": 1, "rate": 1}',
        '{"event": "train", "iteration": -1, "loss": 1, "rate": 1}',
        '{"event": "test", "iteration": 1, "net": 0, "scores": [1]}',
        '{"event": "train", "iteration": 1, "loss": null, "rate": 1}',
        "[" * 100_000,
        "[1]",
        "{",
        "\0\0",
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    first = '{"event": "train", "iteration": 1, "loss": 1, "rate": 1}'
    (tmp_path / "l.jsonl").write_text(f"{first}\n{line}\n{first}\n")
    with pytest.raises(ParseError, match=r"l\.jsonl:2: not a line of a training log"):
        read_curves(tmp_path / "l.jsonl")


def test_numbers_of_any_length_in_caffes_log(tmp_path: Path) -> None:
    (tmp_path / "l.log").write_text(f"Iteration {'9' * 10_000}, loss = 1\n")
    with pytest.raises(ParseError, match="no losses"):
        read_curves(tmp_path / "l.log")

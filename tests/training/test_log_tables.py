"""A training's course as tables in parse_log's columns, from our logs and from Caffe's."""

from __future__ import annotations

import csv
import json
import math
from io import StringIO
from pathlib import Path

import pytest
from training_logs import CAFFE, CAFFE_2013, journal

from vggrepro.errors import ParseError
from vggrepro.training.curves import Curves, read_curves
from vggrepro.training.log_tables import rows_of_tests, rows_of_training, table_csv, table_paths, write_tables


def caffes(folder: Path, text: str) -> Curves:
    (folder / "caffe.log").write_text(text)
    return read_curves(folder / "caffe.log")


def test_caffes_log(tmp_path: Path) -> None:
    """The rate that holds at 200 was told at 100; seconds count from the line that says Solving."""
    curves = caffes(tmp_path, CAFFE)
    train, test = rows_of_training(curves), rows_of_tests(curves)
    assert [list(row) for row in train] == [["NumIters", "Seconds", "LearningRate", "loss"]] * 3
    assert [list(row.values()) for row in train[:2]] == [[0, 1.3, 0.01, 2.34], [100, 11.3, 0.001, 1.5e-05]]
    assert train[2]["NumIters"] == 200
    assert math.isnan(train[2]["loss"])
    columns = ["accuracy", "loss", "accuracy (#1)", "accuracy[1] (#1)"]
    assert list(test[0]) == ["NumIters", "Seconds", "LearningRate", *columns]
    assert [row["NumIters"] for row in test] == [0, 200]
    assert [row["LearningRate"] for row in test] == [0.01, 0.001]
    assert [test[1][name] for name in columns] == [0.9, 0.25, 0.8, 0.7]
    assert math.isnan(test[0]["accuracy (#1)"])


def test_outputs_of_the_training_net(tmp_path: Path) -> None:
    lines = CAFFE.replace("Train net output #0: loss = 2.34", "Train net output #0: loss = 2.25").splitlines()
    at = next(i for i, line in enumerate(lines) if "Train net" in line)
    lines.insert(at, lines[at].replace("loss = 2.25", "aux = 7"))
    train = rows_of_training(caffes(tmp_path, "\n".join(lines)))
    assert (train[0]["aux"], train[0]["loss"]) == (7, 2.25)
    assert train[1]["loss"] == 1.5e-05  # the displayed one, since no output is told
    assert math.isnan(train[1]["aux"])


def test_caffes_log_of_2013_and_of_today(tmp_path: Path) -> None:
    old = caffes(tmp_path, CAFFE_2013)
    assert [list(row.values())[:2] for row in rows_of_tests(old)] == [[500, 0.0]]
    assert [round(row["Seconds"], 6) for row in rows_of_training(old)] == [2.1]
    new = caffes(tmp_path, CAFFE.replace("I0312 10:", "I20231231 23:").replace("23:20:5", "23:59:5"))
    assert [row["Seconds"] for row in rows_of_training(new)][:2] == [1.3, 11.3]


def test_a_new_year(tmp_path: Path) -> None:
    text = CAFFE.replace("I0312 10:20:30", "I1231 23:59:59").replace("I0312 10:20:", "I0101 00:00:")
    seconds = [row["Seconds"] for row in rows_of_training(caffes(tmp_path, text))]
    assert seconds[:2] == pytest.approx([32.3, 42.3])


def test_our_log_after_a_kill(tmp_path: Path) -> None:
    curves = read_curves(journal(tmp_path / "run.jsonl"))
    train, test = rows_of_training(curves), rows_of_tests(curves)
    assert [row["NumIters"] for row in train] == [0, 10, 20, 30]
    assert [row["loss"] for row in train] == [2.0, 1.8, 1.6, 9.0]
    assert [row["LearningRate"] for row in train] == [0.01, 0.01, 0.01, 0.001]
    assert [(row["NumIters"], row["LearningRate"], row["accuracy"], row["loss"]) for row in test] == [
        (40, 0.001, 0.5, 0.5)
    ]


def test_our_logs_times_and_outputs(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    events = [
        {"event": "start", "iteration": 0, "time": 1000.5},
        {
            "event": "train",
            "iteration": 0,
            "time": 1002.0,
            "loss": 3.0,
            "rate": 0.1,
            "outputs": {"a": [1, 2]},
        },
        {"event": "test", "iteration": 4, "time": 1010.25, "net": 0, "scores": {"accuracy": 0.5}},
    ]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    curves = read_curves(path)
    assert rows_of_training(curves) == [
        {"NumIters": 0, "Seconds": 1.5, "LearningRate": 0.1, "a": 1, "a[1]": 2, "loss": 3.0}
    ]
    assert rows_of_tests(curves) == [{"NumIters": 4, "Seconds": 9.75, "LearningRate": 0.1, "accuracy": 0.5}]


def test_files(tmp_path: Path) -> None:
    curves = caffes(tmp_path, CAFFE)
    write_tables(curves, tmp_path / "run")
    assert table_paths(tmp_path / "run") == (tmp_path / "run.train", tmp_path / "run.test")
    lines = (tmp_path / "run.train").read_text().splitlines()
    assert lines[:2] == ["NumIters,Seconds,LearningRate,loss", "0,1.3,0.01,2.34"]
    tests = list(csv.DictReader(StringIO((tmp_path / "run.test").read_text())))
    assert [row["accuracy"] for row in tests] == ["0.1015", "0.9"]


def test_a_run_without_tests(tmp_path: Path) -> None:
    log = "".join(line for line in CAFFE.splitlines(True) if "Test" not in line and "Testing" not in line)
    write_tables(caffes(tmp_path, log), tmp_path / "run")
    assert (tmp_path / "run.test").read_text() == "NumIters,Seconds,LearningRate\n"
    assert table_csv([]) == ""


def test_no_log(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="neither our log nor Caffe's"):
        caffes(tmp_path, "I0312 10:20:30.100000 4242 solver.cpp:280] Solving tiny\n")

"""parse_log: the tables that Caffe's own script makes of a log."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import pytest
from caffe_nets import caffe

from vggrepro.cli.caffe_programs.parse_log import tables
from vggrepro.errors import ParseError

LOG = """Log file created at: 2015/12/31 23:59:00
I1231 23:59:00.000000  7 solver.cpp:48] Initializing solver from parameters:
base_lr: 0.01
I1231 23:59:58.500000  7 solver.cpp:279] Solving LeNet
I1231 23:59:59.000000  7 solver.cpp:337] Iteration 0, Testing net (#0)
I1231 23:59:59.500000  7 solver.cpp:404]     Test net output #0: accuracy = 0.1
I1231 23:59:59.500000  7 solver.cpp:404]     Test net output #1: loss = 2.3 (* 1 = 2.3 loss)
I1231 23:59:59.750000  7 solver.cpp:228] Iteration 0, loss = 2.4
I1231 23:59:59.750000  7 solver.cpp:244]     Train net output #0: loss = nan (* 1 = nan loss)
I1231 23:59:59.750000  7 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0101 00:00:00.500000  7 solver.cpp:228] Iteration 100 (20 iter/s, 5s/100 iters), loss = 1.5
I0101 00:00:00.500000  7 solver.cpp:244]     Train net output #0: loss = 1.25e-1 (* 1 = 0.125 loss)
I0101 00:00:00.500000  7 sgd_solver.cpp:106] Iteration 100, lr = 5e-03
I0101 00:00:01.500000  7 solver.cpp:337] Iteration 200, Testing net (#0)
I0101 00:00:02.500000  7 solver.cpp:404]     Test net output #0: accuracy = 0.9
I0101 00:00:02.500000  7 solver.cpp:404]     Test net output #1: loss = 0.5 (* 1 = 0.5 loss)
I0101 00:00:02.500000  7 solver.cpp:404]     Test ne"""


def test_tables() -> None:
    train, test = tables(LOG.splitlines(), "log", 2015)
    assert [list(row) for row in test] == [["NumIters", "Seconds", "LearningRate", "accuracy", "loss"]] * 2
    assert [list(row.values()) for row in test] == [[0, 1.0, 0.005, 0.1, 2.3], [200, 4.0, 0.005, 0.9, 0.5]]
    assert [row["Seconds"] for row in train] == [1.25, 2.0]
    assert [row["LearningRate"] for row in train] == [0.01, 0.01]
    assert math.isnan(train[0]["loss"]) and train[1]["loss"] == 0.125


def test_a_log_that_is_none() -> None:
    with pytest.raises(ParseError, match="no line of glog that says Solving"):
        tables(["hello"], "log", 2020)


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "train.log"
    log.write_text("\n".join(line for line in LOG.splitlines() if "Test net" not in line))
    assert caffe("parse_log", str(log), str(tmp_path), "--verbose", "--delimiter=;") == 0
    said = capsys.readouterr().out
    assert f"Wrote {log}.train" in said and f"Not writing {log}.test; no lines to write" in said
    lines = Path(f"{log}.train").read_text().splitlines()
    assert lines[0] == "NumIters;Seconds;LearningRate;loss" and lines[2].startswith("100.0;2.0;0.01;0.125")


def test_our_own_log(brewing: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("train", "-solver=solver.prototxt") == 0
    train, test = tables(capfd.readouterr().err.splitlines(), "stderr", datetime.now().year)
    assert [row["NumIters"] for row in train] == [0, 5]
    assert [row["NumIters"] for row in test] == [0, 5, 10]
    assert list(test[0]) == ["NumIters", "Seconds", "LearningRate", "accuracy", "loss"]
    assert train[1]["LearningRate"] == 0.01

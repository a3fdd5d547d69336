"""Courses of training from logs, ours and Caffe's, and their pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vggrepro.cli.plot_training import main
from vggrepro.errors import ParseError
from vggrepro.training.curves import is_accuracy, read_curves
from vggrepro.training.journal import Journal

CAFFE = """\
Log file created at: 2016/03/12 10:20:30
I0312 10:20:30.100000 4242 solver.cpp:280] Solving tiny
I0312 10:20:30.200000 4242 solver.cpp:337] Iteration 0, Testing net (#0)
I0312 10:20:31.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.1015
I0312 10:20:31.300000 4242 solver.cpp:404]     Test net output #1: loss = 2.35 (* 1 = 2.35 loss)
I0312 10:20:31.400000 4242 solver.cpp:228] Iteration 0, loss = 2.34
I0312 10:20:31.400000 4242 solver.cpp:244]     Train net output #0: loss = 2.34 (* 1 = 2.34 loss)
I0312 10:20:31.400000 4242 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0312 10:20:41.400000 4242 solver.cpp:218] Iteration 100 (10.5 iter/s, 9.5s/100 iters), loss = 1.5e-05
I0312 10:20:41.400000 4242 sgd_solver.cpp:106] Iteration 100, lr = 0.001
I0312 10:20:51.200000 4242 solver.cpp:337] Iteration 200, Testing net (#0)
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.9
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #1: loss = 0.25 (* 1 = 0.25 loss)
I0312 10:20:51.200000 4242 solver.cpp:337] Iteration 200, Testing net (#1)
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.8
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.7
I0312 10:20:52.400000 4242 solver.cpp:228] Iteration 200, loss = nan
"""

CAFFE_2013 = """\
I1205 10:20:30.200000 4242 solver.cpp:129] Iteration 500, Testing net
I1205 10:20:31.300000 4242 solver.cpp:162] Test score #0: 0.905
I1205 10:20:31.300000 4242 solver.cpp:162] Test score #1: 0.31
I1205 10:20:32.300000 4242 solver.cpp:87] Iteration 500, loss = 0.35
"""


def journal(path: Path) -> Path:
    log = Journal(path)
    log.event("start", 0)
    for iteration in range(0, 60, 10):
        rate = 0.01 if iteration < 30 else 0.001
        log.event("train", iteration, loss=2.0 - iteration / 50, rate=rate)
    log.event("test", 50, net=0, scores={"accuracy": 0.25, "loss": 1.0})
    log.event("start", 30)  # killed, and resumed from 30
    log.event("train", 30, loss=9.0, rate=0.001)
    log.event("test", 40, net=0, scores={"accuracy": 0.5, "loss": 0.5})
    log.close()
    return path


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
    assert curves.scores[1, "accuracy"] == [(200, 0.8)]  # the first element of a blob of several


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


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(journal(tmp_path / "run.jsonl"))
    assert main([path, "-o", str(tmp_path / "x.gif")]) == 2
    assert main([path, "-o", str(tmp_path / "x.png"), "--size", "big"]) == 2
    error = capsys.readouterr().err
    assert "x.gif: expected one of .png, .svg, .pdf" in error
    assert "--size big: expected WxH" in error


def test_journal_lines_are_json(tmp_path: Path) -> None:
    lines = journal(tmp_path / "run.jsonl").read_text().splitlines()
    assert all({"event", "iteration", "time"} <= json.loads(line).keys() for line in lines)

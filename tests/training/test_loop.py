"""The training loop as a command: display, tests, plateaus, snapshots, signals, divergence, resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import NET, arrays, assert_same_weights, command_line, environment, prepare, process

from vggrepro.cli.train_ilsvrc import main
from vggrepro.training.run_record import read_record


def train(folder: Path, prefix: str, *more: str) -> list[dict[str, Any]]:
    """Run the command to its end and return its log."""
    assert main(command_line(folder, prefix, *more)) == 0
    return log(folder, prefix)


def log(folder: Path, prefix: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{prefix}.jsonl").read_text().splitlines()]


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def snapshots(folder: Path, prefix: str) -> list[int]:
    names = [path.name for path in folder.glob(f"{prefix}_iter_*.solverstate")]
    return sorted(int(name.split("_iter_")[1].split(".")[0]) for name in names)


def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Displays, tests and snapshots come when Caffe's do, and the net learns."""
    prepare(tmp_path, max_iter=40, display=10, average_loss=5, snapshot=16, test_interval=10)
    events = train(tmp_path, "run", "--no-keep-best", "--keep", "0")
    shown = of(events, "train")
    assert [e["iteration"] for e in shown] == [0, 10, 20, 30]
    assert shown[-1]["loss"] < shown[0]["loss"]
    assert [e["iteration"] for e in of(events, "test")] == [10, 20, 30, 40]
    assert set(of(events, "test")[0]["scores"]) == {"accuracy", "loss"}
    assert of(events, "test")[-1]["scores"]["accuracy"] > 0.5
    assert snapshots(tmp_path, "run") == [16, 32, 40]
    assert [e["event"] for e in events][-1] == "end"
    text = capsys.readouterr().err
    assert "iteration 10/40  loss" in text
    assert "images/s  data" in text


def test_test_initialization(tmp_path: Path) -> None:
    prepare(tmp_path, max_iter=4, test_initialization="true")
    assert [e["iteration"] for e in of(train(tmp_path, "run"), "test")] == [0, 4]


def test_no_snapshot_after_train(tmp_path: Path) -> None:
    prepare(tmp_path, max_iter=3, snapshot_after_train="false", test_interval=100)
    train(tmp_path, "run")
    assert snapshots(tmp_path, "run") == []


def test_last_and_best_snapshots_are_kept(tmp_path: Path) -> None:
    prepare(tmp_path, max_iter=24, snapshot=3, test_interval=4)
    train(tmp_path, "run", "--keep", "2")
    record = read_record(tmp_path / "run_iter_24.json")
    assert record.best is not None
    assert [i for i, _ in record.accuracies] == [4, 8, 12, 16, 20, 24]
    assert snapshots(tmp_path, "run") == sorted({21, 24, record.best[0]})
    for path in tmp_path.glob("run_iter_*"):
        assert int(path.name.split("_iter_")[1].split(".")[0]) in snapshots(tmp_path, "run")


def test_plateau_divides_the_rate(tmp_path: Path) -> None:
    """A net that cannot learn (rate 0) never improves: a drop after each ``patience`` further tests."""
    fields = {"lr_policy": '"plateau"', "gamma": 0.1, "base_lr": 1e-12, "display": 1, "test_interval": 2}
    prepare(tmp_path, max_iter=24, **fields)
    events = train(tmp_path, "run", "--patience", "2")
    rates = [round(e["rate"] / 1e-12, 6) for e in of(events, "train")]
    # The first test, at 2, is the best; those at 4 and 6 are not better, and so on.
    assert rates == [1.0] * 6 + [0.1] * 4 + [0.01] * 4 + [0.001] * 10


def test_plateau_needs_an_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, lr_policy='"plateau"', gamma=0.1)
    assert main(command_line(tmp_path, "run", "--no-test")) == 2
    assert "lr_policy 'plateau' needs a validation accuracy" in capsys.readouterr().err


def test_unknown_output_to_watch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path)
    assert main(command_line(tmp_path, "run", "--watch", "top5")) == 2
    assert "no output 'top5'" in capsys.readouterr().err


def test_tests_need_a_validation_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path)
    arguments = command_line(tmp_path, "run")
    del arguments[arguments.index("--val") :][:2], arguments[4:6]
    assert main(arguments) == 2
    assert "there is no validation set" in capsys.readouterr().err


def test_divergence_stops_with_the_last_good_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path, snapshot=1, base_lr=1e30, test_interval=100, momentum=0)
    assert main(command_line(tmp_path, "run", "--keep", "0")) == 2
    error = capsys.readouterr().err
    assert "is not finite" in error or "the loss is" in error
    assert "a lower base_lr, clip_gradients, or another --init (glorot) may help" in error
    for iteration in snapshots(tmp_path, "run"):
        for array in arrays(tmp_path / f"run_iter_{iteration}.caffemodel").values():
            assert np.isfinite(array).all()
    good = snapshots(tmp_path, "run")
    expected = f"run_iter_{good[-1]}.solverstate" if good else "no snapshot to go on from"
    assert expected in error


def test_a_new_run_does_not_overwrite_snapshots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, max_iter=2)
    train(tmp_path, "run")
    assert main(command_line(tmp_path, "run")) == 2
    assert "--resume goes on from it" in capsys.readouterr().err


def test_a_new_run_does_not_overwrite_its_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, max_iter=2)
    train(tmp_path, "run")
    for left in tmp_path.glob("run_iter_*.solverstate"):
        left.unlink()
    weights = tmp_path / "run_iter_2.caffemodel"
    before = weights.read_bytes()
    assert main([*command_line(tmp_path, "run"), "--weights", str(weights)]) == 2
    assert f"{weights}: a snapshot of this run would overwrite it" in capsys.readouterr().err
    assert weights.read_bytes() == before
    assert main([*command_line(tmp_path, "other"), "--weights", str(weights)]) == 0


def test_patience_is_for_the_plateau_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path)
    assert main([*command_line(tmp_path, "run"), "--patience", "2"]) == 2
    assert "--patience: is for lr_policy 'plateau', but " in capsys.readouterr().err


RESUMABLE = {
    "max_iter": 30,
    "snapshot": 6,
    "test_interval": 4,
    "display": 1,
    "average_loss": 4,
    "lr_policy": '"plateau"',
    "gamma": 0.1,
    "test_initialization": "true",
}


@pytest.mark.parametrize("iteration", [6, 12])  # 12 is also a test's, whose accuracy may be known or not
def test_resumed_run_is_the_same_bit_for_bit(tmp_path: Path, iteration: int) -> None:
    prepare(tmp_path, **RESUMABLE)
    whole = train(tmp_path, "whole", "--keep", "0", "--patience", "1")
    state = str(tmp_path / f"whole_iter_{iteration}.solverstate")
    resumed = train(tmp_path, "again", "--keep", "0", "--patience", "1", "--resume", state)
    assert_same_weights(tmp_path / "whole_iter_30.caffemodel", tmp_path / "again_iter_30.caffemodel")
    tail = [(e["iteration"], e["loss"], e["rate"]) for e in of(whole, "train") if e["iteration"] >= iteration]
    assert [(e["iteration"], e["loss"], e["rate"]) for e in of(resumed, "train")] == tail
    assert len({rate for _, _, rate in tail}) > 1  # the plateau policy was at work
    records = [read_record(tmp_path / f"{name}_iter_30.json") for name in ("whole", "again")]
    assert records[0] == records[1]


def test_resume_goes_on_with_an_unnamed_seed(tmp_path: Path) -> None:
    """Without random_seed a run draws one; the resumed run must use the same."""
    prepare(tmp_path, **RESUMABLE, random_seed=-1)
    train(tmp_path, "whole", "--keep", "0")
    state = str(tmp_path / "whole_iter_6.solverstate")
    train(tmp_path, "again", "--resume", state)
    assert_same_weights(tmp_path / "whole_iter_30.caffemodel", tmp_path / "again_iter_30.caffemodel")


def test_resume_refuses_another_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, max_iter=2)
    train(tmp_path, "run")
    assert main(command_line(tmp_path, "run", "--resume", "--seed", "9")) == 2
    assert "the run has seed 3; it cannot go on with 9" in capsys.readouterr().err


def test_resume_names_changed_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, max_iter=2)
    train(tmp_path, "run")
    train(tmp_path, "run", "--resume", "--no-flip", "--set", "max_iter: 3")
    assert (
        "warning: not the run that was interrupted: flip: True before, False now" in capsys.readouterr().err
    )


def test_resume_auto_begins_where_nothing_is(tmp_path: Path) -> None:
    prepare(tmp_path, max_iter=2)
    assert of(train(tmp_path, "run", "--resume"), "start")[0]["iteration"] == 0


def test_killed_at_any_moment_and_resumed(tmp_path: Path) -> None:
    """SIGKILL again and again, each time resumed: the same weights as of an undisturbed run."""
    prepare(tmp_path, **{**RESUMABLE, "max_iter": 400, "snapshot": 5})
    train(tmp_path, "whole", "--patience", "1")
    command = process(command_line(tmp_path, "killed", "--patience", "1", "--resume", "auto"))
    kills = 0
    for delay in np.random.default_rng(0).uniform(0.0, 0.2, 4):
        running = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
        assert running.stderr is not None
        next(line for line in running.stderr if line.startswith("iteration"))
        time.sleep(delay)  # from here on it trains, tests, writes snapshots and removes them
        running.kill()
        running.stderr.close()
        kills += running.wait() == -signal.SIGKILL
    assert kills > 1
    last = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert_same_weights(tmp_path / "whole_iter_400.caffemodel", tmp_path / "killed_iter_400.caffemodel")
    events = log(tmp_path, "killed")
    assert len({e["iteration"] for e in of(events, "start")}) > 1  # it did resume
    assert [e["iteration"] for e in of(events, "end")] == [400]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
def test_signals(tmp_path: Path) -> None:
    """SIGHUP: a snapshot, and on. SIGINT: a snapshot, and the end, with exit code 130; --resume finishes."""
    prepare(tmp_path, max_iter=100000, display=1, test_interval=100000)
    command = process(command_line(tmp_path, "run", "--keep", "0"))
    running = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    lines = iter(running.stderr)
    next(line for line in lines if line.startswith("iteration"))
    running.send_signal(signal.SIGHUP)
    next(line for line in lines if line.startswith("snapshot"))
    next(line for line in lines if line.startswith("iteration"))
    running.send_signal(signal.SIGINT)
    next(line for line in lines if line.startswith("snapshot"))
    assert running.wait(20) == 128 + signal.SIGINT
    running.stderr.close()
    made = snapshots(tmp_path, "run")
    assert len(made) == 2
    again = command_line(tmp_path, "run", "--resume", "--set", f"max_iter: {made[-1] + 2}")
    assert main(again) == 0
    assert of(log(tmp_path, "run"), "start")[-1]["iteration"] == made[-1]


def test_iter_size_divides_the_same_images(tmp_path: Path) -> None:
    """An iteration in two passes has the same gradient, but for the masks of dropout."""
    net = NET.replace('layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }', "")
    prepare(tmp_path, net=net, max_iter=6)
    train(tmp_path, "one")
    train(tmp_path, "two", "--iter-size", "2")
    one, two = (arrays(tmp_path / f"{name}_iter_6.caffemodel") for name in ("one", "two"))
    for key, array in one.items():
        np.testing.assert_allclose(array, two[key], rtol=1e-4, atol=1e-6, err_msg=key)


def test_hdf5_snapshots_resume_too(tmp_path: Path) -> None:
    prepare(tmp_path, **{**RESUMABLE, "max_iter": 12}, snapshot_format="HDF5")
    train(tmp_path, "whole", "--keep", "0")
    state = str(tmp_path / "whole_iter_6.solverstate.h5")
    train(tmp_path, "again", "--resume", state)
    whole, again = (tmp_path / f"{name}_iter_12.caffemodel.h5" for name in ("whole", "again"))
    assert_same_weights(whole, again)

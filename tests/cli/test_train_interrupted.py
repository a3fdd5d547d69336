"""What is left of a training that was stopped, killed, damaged or met another one; and how it goes on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import assert_same_weights, command_line, environment, prepare, process

from vggrepro.cli.train_ilsvrc import main
from vggrepro.training import assemble
from vggrepro.training.snapshots import sole_run
from vggrepro.training.solver import Solver

STOPS = [signal.SIGINT, *([signal.SIGTERM, signal.SIGUSR1] if os.name != "nt" else [])]


def send_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *signals: int, at: int = 1) -> None:
    """Let the ``at``-th call of a function find signals that have come."""
    real: Callable[..., Any] = getattr(owner, name)
    calls = []

    def sending(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        for number in signals if len(calls) == at else ():
            os.kill(os.getpid(), number)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, sending)


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The last line of a run that cannot be done."""
    capsys.readouterr()
    assert main(arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("number", STOPS)
def test_stopped_in_an_iteration(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    """The iteration is finished and kept, and the last line says how to go on."""
    prepare(tmp_path, max_iter=9, test_interval=2)
    with monkeypatch.context() as patch:
        send_before(patch, Solver, "step_passes", number, at=5)
        assert main(command_line(tmp_path, "run")) == 128 + number
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"stopped by {number.name}: kept {tmp_path / 'run_iter_5.solverstate'} and ")
    assert "the best with " in last
    assert last.endswith("the same command with --resume goes on")
    assert main(command_line(tmp_path, "run", "--resume")) == 0
    assert main(command_line(tmp_path, "whole")) == 0
    assert_same_weights(tmp_path / "run_iter_9.caffemodel", tmp_path / "whole_iter_9.caffemodel")


def test_exit_code_and_effect_by_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, max_iter=4, test_interval=100)
    with monkeypatch.context() as patch:
        send_before(patch, Solver, "step_passes", signal.SIGTERM)
        assert main(command_line(tmp_path, "zero", "--stop-code", "0")) == 0
    assert (tmp_path / "zero_iter_1.solverstate").exists()
    with monkeypatch.context() as patch:
        send_before(patch, Solver, "step_passes", signal.SIGTERM)
        assert main(command_line(tmp_path, "on", "--sigterm-effect", "none")) == 0
    assert (tmp_path / "on_iter_4.solverstate").exists()
    with monkeypatch.context() as patch:
        send_before(patch, Solver, "step_passes", signal.SIGUSR1)
        assert main(command_line(tmp_path, "snap", "--sigusr1-effect", "snapshot", "--keep", "0")) == 0
    assert (tmp_path / "snap_iter_1.solverstate").exists()
    assert (tmp_path / "snap_iter_4.solverstate").exists()


@pytest.mark.parametrize("number", STOPS)
def test_stopped_while_it_loads(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    prepare(tmp_path, max_iter=3, test_interval=100)
    with monkeypatch.context() as patch:
        send_before(patch, assemble, "TrainingLoader", number)
        assert main(command_line(tmp_path, "run")) == 128 + number
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"stopped by {number.name}: there is no snapshot yet: the same command begins anew"
    assert main(command_line(tmp_path, "run")) == 0
    with monkeypatch.context() as patch:
        send_before(patch, assemble, "TrainingLoader", number)
        assert main(command_line(tmp_path, "run", "--resume", "--set", "max_iter: 5")) == 128 + number
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"kept {tmp_path / 'run_iter_3.solverstate'}: the same command with --resume goes on" in last


def test_a_second_interrupt_ends_the_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path, max_iter=9, snapshot=2, test_interval=100)
    send_before(monkeypatch, Solver, "step_passes", signal.SIGINT, signal.SIGINT, at=6)
    assert main(command_line(tmp_path, "run")) == 130
    assert f"kept {tmp_path / 'run_iter_4.solverstate'}:" in capsys.readouterr().err.splitlines()[-1]


def test_two_runs_of_one_prefix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, max_iter=2)
    with sole_run(str(tmp_path / "run")):
        error = refused(capsys, command_line(tmp_path, "run"))
        assert f"run.lock: the snapshot prefix {tmp_path / 'run'} is in use by another process" in error
        assert main(command_line(tmp_path, "other")) == 0
    assert not (tmp_path / "run.jsonl").exists()
    assert main(command_line(tmp_path, "run")) == 0
    assert not list(tmp_path.glob("*.lock"))


def test_a_log_that_is_none_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, max_iter=2)
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\nwithout an end")
    error = refused(capsys, command_line(tmp_path, "run", "--log", str(notes)))
    assert "notes.txt: not a training log, and left as it is" in error
    assert notes.read_text() == "my notes\nwithout an end"


def stems(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith((".", "run"))}


def test_half_written_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    prepare(tmp_path, max_iter=2, test_interval=100)
    ours = ["run_iter_7.caffemodel", "run_iter_7.solverstate.h5", "run_iter_40.json"]
    others = ["run2_iter_7.caffemodel", "run_iter_x.caffemodel", "notes"]
    for name in (*ours, *others):
        (tmp_path / f".{name}.0123456789ab.tmp").touch()
    (tmp_path / ".run_iter_7.caffemodel.tmp").touch()  # not a name that we give
    assert main(command_line(tmp_path, "run")) == 0
    left = {f".{name}.0123456789ab.tmp" for name in others} | {".run_iter_7.caffemodel.tmp"}
    made = {f"run_iter_2.{kind}" for kind in ("caffemodel", "solverstate", "json")} | {"run.jsonl"}
    assert stems(tmp_path) == left | made


def trained(folder: Path, **fields: Any) -> None:
    prepare(folder, **{"max_iter": 6, "snapshot": 2, "test_interval": 100, **fields})
    assert main(command_line(folder, "run", "--keep", "0")) == 0


@pytest.mark.parametrize("kind", ["caffemodel", "solverstate"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_snapshot_is_refused_and_a_whole_one_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, damage: str
) -> None:
    trained(tmp_path)
    path = tmp_path / f"run_iter_6.{kind}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flipped" else data[:-1])
    more = ["--set", "max_iter: 7", "--resume", str(tmp_path / "run_iter_6.solverstate")]
    error = refused(capsys, command_line(tmp_path, "run", *more))
    assert str(path) in error
    offered = tmp_path / "run_iter_4.solverstate"
    assert error.endswith(f"--resume {offered}")
    assert main(command_line(tmp_path, "run", "--set", "max_iter: 6", "--resume", str(offered))) == 0


def test_nothing_whole_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path)
    for path in tmp_path.glob("run_iter_*.caffemodel"):
        path.write_bytes(path.read_bytes()[:-1])
    error = refused(capsys, command_line(tmp_path, "run", "--resume"))
    assert "run_iter_6.caffemodel: damaged" in error
    assert error.endswith("no other snapshot is whole")


def test_a_damaged_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path)
    (tmp_path / "run_iter_6.json").write_text("{")
    error = refused(capsys, command_line(tmp_path, "run", "--resume"))
    assert "run_iter_6.json: not a training record" in error
    assert "run_iter_4.solverstate" in error


def test_a_lost_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The seed that was drawn is in it: without it a run does not go on with another one in silence."""
    trained(tmp_path, random_seed=-1)
    seed = json.loads((tmp_path / "run_iter_6.json").read_text())["seed"]
    (tmp_path / "run_iter_6.json").unlink()
    more = ["--resume", "--set", "max_iter: 8"]
    error = refused(capsys, command_line(tmp_path, "run", *more))
    assert "the record run_iter_6.json is missing, and with it the run's seed: give it by --seed N" in error
    assert main(command_line(tmp_path, "run", *more, "--seed", str(seed))) == 0
    assert "warning: no record" in capsys.readouterr().err
    assert main(command_line(tmp_path, "whole", "--set", "max_iter: 8", "--seed", str(seed))) == 0
    assert_same_weights(tmp_path / "run_iter_8.caffemodel", tmp_path / "whole_iter_8.caffemodel")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no RLIMIT_FSIZE")
def test_a_full_disk_leaves_no_wrong_file(tmp_path: Path) -> None:
    """Files may have 2,000 bytes: a snapshot does not fit, its log and its record do."""
    prepare(tmp_path, max_iter=4, test_interval=100)
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
    run = "from vggrepro.cli.train_ilsvrc import main; sys.exit(main(sys.argv[1:]))"
    command = process(command_line(tmp_path, "run"))
    ended = subprocess.run(
        [sys.executable, "-c", limit + run, *command[2:]],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last == f"error: {tmp_path / 'run_iter_4.caffemodel'}: File too large"
    assert stems(tmp_path) == {"run.jsonl", "run_iter_4.json"}


def test_a_failing_disk_leaves_the_last_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("run_iter_*")}

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        error = refused(capsys, command_line(tmp_path, "run", "--set", "max_iter: 8", "--resume"))
    assert "Input/output error" in error
    assert "run_iter_8" in error
    assert {path: path.read_bytes() for path in tmp_path.glob("run_iter_*")} == before
    assert not list(tmp_path.glob(".*"))
    assert main(command_line(tmp_path, "run", "--set", "max_iter: 8", "--resume")) == 0

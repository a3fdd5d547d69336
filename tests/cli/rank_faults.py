"""Faults of one rank among several: what ends it must end them all, soon, with its message and exit code.

``python tests/cli/rank_faults.py`` runs all of them and prints what came of each.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi_launcher import mpirun

SECONDS = 5.0
"""From the fault to the end of mpirun, on a machine that has nothing else to do."""

COMMANDS = {
    "eval": [
        "eval-ilsvrc",
        "--demo",
        "--protocol",
        "dense",
        "--scales",
        "64",
        "--limit",
        "40",
        "--window",
        "5",
    ],
    "train": ["train-ilsvrc", "--demo", "--set", "max_iter: 40"],
    "extract": ["extract-features", "--demo", "no", "-o", "no.npy"],
}
OPTIONS = {
    "eval": ["--batch", "2", "--threads", "1", "--workers", "1"],
    "train": ["--threads", "1"],
    "extract": [],
}


def _ort_failure() -> BaseException:
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    return RuntimeException("Failed to allocate memory for requested buffer of size 80000000000")


def _ours() -> BaseException:
    from vggrepro.errors import DataError

    return DataError("the fault")


RAISED: dict[str, tuple[Callable[[], BaseException], int, str]] = {
    "ours": (_ours, 2, "error: the fault"),
    "OSError": (lambda: OSError(28, "No space left on device", "f"), 2, "error: f: No space left on device"),
    "MemoryError": (lambda: MemoryError("the fault"), 2, "error: not enough memory: the fault"),
    "TypeError": (lambda: TypeError("the fault"), 2, "error: internal: TypeError: the fault ("),
    "ORT": (_ort_failure, 2, "Failed to allocate memory"),
    "KeyboardInterrupt": (KeyboardInterrupt, 130, "stopped by SIGINT"),
    "SystemExit": (lambda: SystemExit("the fault"), 2, "error: the fault"),
}
SENT = {
    "SIGINT": (signal.SIGINT, 130, "stopped by SIGINT"),
    "SIGTERM": (signal.SIGTERM, 143, "stopped by SIGTERM"),
    "SIGKILL": (signal.SIGKILL, None, ""),
}


@dataclass(frozen=True)
class Case:
    """A fault of one rank of two. ``place``: before MPI is started, at the start, in the middle of the work,
    instead of the call in which the others wait (barrier), or, for signals, within such a call (blocked)."""

    command: str
    fault: str
    rank: int
    place: str

    def __str__(self) -> str:
        return f"{self.command}-{self.fault}-{self.rank}-{self.place}"


QUICK = [
    Case("eval", "ORT", 0, "middle"),
    Case("eval", "SIGINT", 1, "blocked"),
    Case("eval", "SIGKILL", 0, "barrier"),
    Case("train", "TypeError", 1, "barrier"),
]
"""Those that the tests run."""

CASES = [
    *QUICK,
    *(Case("eval", fault, 1, "middle") for fault in (*RAISED, *SENT)),
    *(Case("eval", fault, 0, "barrier") for fault in ("ours", "MemoryError", "SystemExit", "SIGINT")),
    *(Case("eval", fault, 0, "blocked") for fault in SENT),
    *(Case("eval", fault, 1, "before") for fault in ("TypeError", "SIGINT", "SIGTERM", "SIGKILL")),
    *(Case("eval", fault, 0, "start") for fault in ("OSError", "SIGTERM")),
    Case("train", "ours", 0, "start"),
    Case("train", "SIGTERM", 1, "start"),
    Case("train", "MemoryError", 0, "middle"),
    Case("train", "ORT", 1, "middle"),
    Case("train", "SIGKILL", 1, "barrier"),
    Case("train", "KeyboardInterrupt", 0, "barrier"),
    Case("extract", "TypeError", 0, "start"),
    Case("extract", "SIGINT", 0, "start"),
]


@dataclass(frozen=True)
class Outcome:
    """What came of a case: ``seconds`` from the fault to the end (None: there was no fault or no end)."""

    code: int
    stderr: str
    seconds: float | None


def run_case(case: Case, folder: Path, timeout: float = 60) -> Outcome:
    """Run a case in ``folder``, which is empty."""
    child = [sys.executable, __file__, case.command, case.fault, str(case.rank), case.place]
    command = [str(mpirun()), "-n", "2", *child]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return Outcome(124, "", None)
    at = folder / "fault"
    return Outcome(done.returncode, done.stderr, time.time() - float(at.read_text()) if at.exists() else None)


def wrong(case: Case, outcome: Outcome, seconds: float) -> list[str]:
    """What is not as it should be."""
    if outcome.seconds is None:
        return ["no fault, or no end"]
    found = [f"ended after {outcome.seconds:.1f} s"] if outcome.seconds > seconds else []
    code, text = (SENT if case.fault in SENT else RAISED)[case.fault][1:]
    if code is None:  # mpirun's own words and code
        return found if outcome.code else [*found, "exit code 0"]
    if outcome.code != code:
        found.append(f"exit code {outcome.code}, expected {code}")
    said = outcome.stderr
    if said.count(text) != 1 or said.count("error: ") > 1 or "Traceback" in said:
        found.append(f"said {outcome.stderr!r}")
    return found


def _child(case: Case) -> int:
    """One rank: the command, with the fault put in."""
    from vggrepro.cli import main, run
    from vggrepro.system.ranks import _Mpi

    mine = int(os.environ["PMI_RANK"]) == case.rank
    waits = "add_up" if case.command == "train" else "barrier"
    if mine and case.place == "before":
        _put_in(main, "_call", lambda: _strike(case), 1)
    elif mine and case.place == "start":
        _put_in(run, "_left", lambda: _strike(case), 1)
    elif mine and case.place == "middle":
        owner, name = _work(case.command)
        _put_in(owner, name, lambda: _strike(case), 3)
    elif mine and case.place == "barrier":
        _put_in(_Mpi, waits, lambda: _strike(case), 2)
    elif mine:
        _put_in(_Mpi, waits, lambda: threading.Timer(1, lambda: _strike(case)).start(), 2)
    elif case.place == "blocked":
        _put_in(_Mpi, waits, lambda: time.sleep(3600), 2)
    return main.main([*COMMANDS[case.command], *OPTIONS[case.command]])


def _work(command: str) -> tuple[Any, str]:
    """The function that does a piece of the command's work."""
    if command == "train":
        from vggrepro.training.solver import Solver

        return Solver, "step_passes"
    from vggrepro.runtime.session import Session

    return Session, "run"


def _put_in(owner: Any, name: str, act: Callable[[], object], call: int) -> None:
    """Do ``act`` in front of the call of that number, from 1, of a function."""
    function, calls = getattr(owner, name), iter(range(1, sys.maxsize))

    def replaced(*arguments: Any, **named: Any) -> Any:
        if next(calls) == call:
            act()
        return function(*arguments, **named)

    setattr(owner, name, replaced)


def _strike(case: Case) -> None:
    Path("fault").write_text(str(time.time()))
    if case.fault in SENT:
        os.kill(os.getpid(), SENT[case.fault][0])
        return
    raise RAISED[case.fault][0]()


def _all() -> int:
    failed, slowest = 0, 0.0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_case(case, Path(folder))
        found = wrong(case, outcome, SECONDS)
        failed += bool(found)
        slowest = max(slowest, outcome.seconds or 0.0)
        seconds = "-" if outcome.seconds is None else f"{outcome.seconds:.2f} s"
        print(f"{case}: {seconds}, exit code {outcome.code}: {'; '.join(found) or 'ok'}", flush=True)
    print(f"{len(CASES) - failed} of {len(CASES)} as they should be, the slowest after {slowest:.2f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(_child(Case(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    sys.exit(_all())

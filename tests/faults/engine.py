"""Commands in processes of their own that are killed, or whose disk gets full, and what they leave.

A trial runs a command with a fault, looks at the files it has left, and runs the command again without one.
Children are forked from a process that has imported everything, so that a trial takes well under a second.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggrepro.cli.main import COMMANDS, main
from vggrepro.evaluation.measuring import view_cache
from vggrepro.system import atomic

for _command in COMMANDS:  # before the forks, so that no child has to
    importlib.import_module(f"vggrepro.cli.{_command.replace('-', '_')}")

CALLS = ("write", "pwrite", "fsync", "replace", "unlink", "posix_fallocate")
"""Functions of ``os`` at which a fault may strike; what files write by themselves counts as write."""


_CALLS = "system calls: "
"""Before the last number that a child says."""


@dataclass
class Fault:
    """What happens from the ``count``-th call on: "kill", "short" (half of what is to be written, and then
    the disk is full), "full" or "eio"."""

    what: str = ""
    count: int = 0
    calls: int = 0

    def strikes(self) -> bool:
        self.calls += 1
        return bool(self.what) and self.calls >= self.count

    def strike(self, write: Callable[[Any], int] | None, data: Any) -> int:
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "short" and self.calls == self.count and write is not None:
            view = memoryview(data).cast("B")
            return write(view[: (len(view) + 1) // 2])
        number = errno.EIO if self.what == "eio" else errno.ENOSPC
        raise OSError(number, os.strerror(number))

    def install(self) -> None:
        """Put it between this process and the system."""
        for name in CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        real = atomic._Output.write

        def write(file: Any, data: Any, /) -> int:
            if not self.strikes():
                return real(file, data)
            return self.strike(lambda part: real(file, part), data)

        atomic._Output.write = write  # type: ignore[method-assign]
        view_cache._FLUSH_SECONDS = 0.0

    def _wrapped(self, name: str, real: Any) -> Any:
        writes = name in ("write", "pwrite")
        kept = name == "unlink"  # a disk without room can remove files

        def function(target: Any, *rest: Any, **named: Any) -> Any:
            if (kept and self.what != "kill") or (writes and target <= 2) or not self.strikes():
                return real(target, *rest, **named)
            if not writes:
                return self.strike(None, b"")
            return self.strike(lambda part: real(target, part, *rest[1:]), rest[0])

        return function


@dataclass(frozen=True)
class Case:
    """A command: its arguments, given whether it goes on from what is there."""

    name: str
    arguments: Callable[[bool], list[str]]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal), what it said, the system calls it made."""

    code: int
    said: str
    calls: int


def run(
    case: Case, folder: Path, fault: Fault | None = None, *, kill_after: float = 0.0, largest: int = 0
) -> Ended:
    """Run a command in ``folder``, with a fault, killed after some seconds, or with files of at most
    ``largest`` bytes."""
    again = any(folder.rglob("*.solverstate"))
    reader, writer = os.pipe()  # not a file: the largest size of files is not for what is said
    child = os.fork()
    if not child:
        code = 70
        with suppress(BaseException):
            code = _child(case.arguments(again), folder, writer, fault or Fault(), largest)
        os._exit(code)
    os.close(writer)
    if kill_after:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader, errors="replace") as pipe:
        said, _, calls = pipe.read().partition(_CALLS)
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said, int(calls or 0))


def _child(arguments: list[str], folder: Path, writer: int, fault: Fault, largest: int) -> int:
    for standard in (1, 2):
        os.dup2(writer, standard)
    real_write = os.write
    os.chdir(folder)
    fault.install()
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    real_write(2, f"{_CALLS}{fault.calls}".encode())
    return code


def contents(folder: Path) -> dict[str, str]:
    """A digest of every result in a folder: without times in reports, logs, and the insides of caches."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name.startswith("cache/") or path.suffix in (".jsonl", ".html", ".lock"):
            continue
        found[name] = hashlib.sha256(_content(path)).hexdigest()
    return found


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".json":
        return data
    report = json.loads(data)
    report.pop("seconds", None)
    report.pop("checksums", None)  # written once the snapshot is whole, which a resumed run does not repeat
    for where in ("running", "directory"):  # how and in which folder it ran
        report.get("settings", {}).pop(where, None)
    return json.dumps(report).encode()


@dataclass
class Tally:
    """Counts of trials, and in words what was wrong."""

    trials: int = 0
    struck: int = 0
    wrong: list[str] = field(default_factory=list)


def trial(
    case: Case, folder: Path, expected: dict[str, str], tally: Tally, disturb: Callable[[], Ended]
) -> None:
    """Disturb a run in ``folder``, which is empty or has results of a run before; look; run again; look."""
    before = contents(folder)
    ended = disturb()
    tally.trials += 1
    tally.struck += ended.code != 0
    where = f"{case.name}: {ended.code}: {ended.said.strip()[-300:]!r}"
    if ended.code not in (0, 2, -signal.SIGKILL) or "Traceback" in ended.said:
        tally.wrong.append(f"bad end: {where}")
    if ended.code == 2 and "error: " not in ended.said:
        tally.wrong.append(f"no error line: {where}")
    for name, digest in contents(folder).items():
        if _is_hidden(name) or _is_record(name):
            continue
        if digest not in (expected.get(name), before.get(name)):
            tally.wrong.append(f"wrong file {name}: {where}")
    again = run(case, folder)
    if again.code:
        tally.wrong.append(f"no second run: {again.code}: {again.said.strip()[-300:]!r} after {where}")
        return
    now = contents(folder)
    for name in sorted({*now, *expected}):
        if now.get(name) != expected.get(name):
            kind = "stray" if name not in expected else "missing" if name not in now else "wrong"
            tally.wrong.append(f"{kind} {name} after the second run: {where}")
    strays = [path.name for path in folder.rglob(".*.tmp")]
    if strays:
        tally.wrong.append(f"stray {strays}: {where}")


def _is_hidden(name: str) -> bool:
    return name.rsplit("/", 1)[-1].startswith(".")


def _is_record(name: str) -> bool:
    """Whether a file is a training's record, which a test after its snapshot writes once more."""
    return name.startswith("snap/") and name.endswith(".json")


def random_fault(rng: random.Random, calls: int, kinds: tuple[str, ...]) -> Fault:
    """A fault at any of the calls that an undisturbed run makes."""
    return Fault(rng.choice(kinds), rng.randint(1, max(calls, 1)))

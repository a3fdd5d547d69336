"""Processes that take turns: what is compared meets the same machine, each with a peak of memory of its own.

A worker calls ``serve``: it does its work once for each line on stdin and answers with a line of JSON. The
other side starts a ``Worker`` for each of those that are compared and asks them in turns.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PAUSE = 0.05
"""Seconds between turns: threads of the last one that wait for work in a loop have gone to sleep by then."""


def serve(work: Callable[[], float]) -> int:
    """A turn for each line on stdin: seconds, the number that ``work`` returns, and the peak in bytes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get in between
    for _ in sys.stdin:
        begin = time.perf_counter()
        turn = {"value": work(), "seconds": time.perf_counter() - begin}
        turn["peak"] = peak_memory()
        print(json.dumps(turn), file=answers, flush=True)
    return 0


def peak_memory() -> int:
    """The peak of this process's resident set in bytes. What getrusage tells on Linux begins with the peak of
    the process that started this one."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


class Worker:
    """A process that does a piece of work when asked."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        variables = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
        )

    def turn(self) -> dict[str, float]:
        """Raises SystemExit if the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        time.sleep(PAUSE)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args}: ended with {self.process.wait()}")
        result: dict[str, float] = json.loads(line)
        return result

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def take_turns(workers: Mapping[str, Worker], rounds: int, warmup: int) -> dict[str, list[dict[str, float]]]:
    """The turns of every worker, by name, without the first ``warmup``; then all are closed."""
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for number in range(warmup + rounds):
        for name, worker in workers.items():
            turn = worker.turn()
            if number >= warmup:
                turns[name].append(turn)
    for worker in workers.values():
        worker.close()
    return turns


def run_apart(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function in a process of its own, so that what it does to memory stays there: the heap, and the
    peak, with which every process begins that this one starts. Raises SystemExit if it fails."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__}: ended with {process.exitcode}")


def median_of(turns: Sequence[Mapping[str, float]], key: str) -> float:
    """The median of one of the numbers of a worker's turns."""
    return statistics.median(turn[key] for turn in turns)


def times_as_fast(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> float:
    """The median over the rounds of their seconds by ours."""
    return statistics.median(b["seconds"] / a["seconds"] for a, b in zip(ours, theirs, strict=True))

"""Running a target on damaged files: what it raised that it may not, what took longest and most memory."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from fuzz.mutation import mutate
from fuzz.targets import Target


@dataclass
class Report:
    """What happened to one target."""

    target: Target
    inputs: int = 0
    accepted: int = 0
    crashes: list[tuple[bytes, Exception]] = field(default_factory=list)
    slowest: tuple[float, bytes] = (0.0, b"")
    """Seconds, and the file."""
    peak: tuple[int, bytes] = (0, b"")
    """Bytes of memory that Python and NumPy took, and the file."""


def damaged(target: Target, seed: int) -> Iterator[bytes]:
    """Good files first, then damaged ones without end; the same ones for the same seed."""
    files = target.files()
    yield from files
    for number in count():
        rng = np.random.default_rng((seed, number))
        yield mutate(files[int(rng.integers(len(files)))], rng, files, target.tokens)


def run(target: Target, inputs: Iterable[bytes], folder: Path, *, until: float = float("inf")) -> Report:
    """Run ``target`` on ``inputs``, until a time of the monotonic clock.

    The file ``folder/input`` holds the latest one: if the process itself dies, that is the culprit.
    """
    report = Report(target)
    path = folder / "input"
    tracemalloc.start()
    try:
        for data in inputs:
            path.write_bytes(data)
            _run_one(report, path, data)
            if time.monotonic() > until:
                break
    finally:
        tracemalloc.stop()
    return report


def _run_one(report: Report, path: Path, data: bytes) -> None:
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report.target.parse(path)
            report.accepted += 1
        except report.target.allowed as error:
            if "\n" in str(error):
                report.crashes.append((data, error))
        except Exception as error:
            report.crashes.append((data, error))
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1] - before
    report.inputs += 1
    report.slowest = max(report.slowest, (seconds, data))
    report.peak = max(report.peak, (peak, data))

"""Giving written models to a runtime in another process, and taking its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import UnsupportedError

Arrays = Mapping[str, npt.NDArray[Any]]

PATIENCE = 600
"""Seconds that a process may take."""

PATIENCE_EACH = 10
"""Seconds that it may take for each of its jobs besides."""


@dataclass(frozen=True)
class Runtime:
    """A runtime under an interpreter. ``adapter`` is the module that runs a file in it."""

    name: str
    adapter: str
    python: str = sys.executable
    path: tuple[str, ...] = ()
    """Folders of modules that the interpreter needs besides its own."""


RUNTIMES = {
    "onnxruntime": "vggrepro.runtime.onnxruntime_run",
    "opencv": "vggrepro.verify.runtimes.opencv_run",
    "openvino": "vggrepro.verify.runtimes.openvino_run",
}
"""The adapters of the runtimes that can be installed beside this package, by name."""


@dataclass(frozen=True)
class Job:
    """A written model, arrays for its inputs, and the outputs that are asked for."""

    model: Path
    inputs: Arrays
    outputs: Sequence[str]


@dataclass(frozen=True)
class Reply:
    """What a runtime gave for a job: arrays by output, or in ``error`` why it gave none."""

    arrays: Arrays = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Replies:
    """All that a runtime said, job by job, and the version that it gives itself."""

    version: str
    replies: Sequence[Reply]


def run_jobs(runtime: Runtime, jobs: Sequence[Job], patience: float | None = None) -> Replies:
    """Run every job. A runtime that takes its process down with it answers an error for that job, and goes
    on with the next one. Raises UnsupportedError if the runtime cannot be started at all."""
    seconds = PATIENCE + PATIENCE_EACH * len(jobs) if patience is None else patience
    with tempfile.TemporaryDirectory(prefix="vggrepro-") as name:
        folder = Path(name)
        try:
            _write(folder, runtime, jobs)
        except OSError as error:  # NumPy's have no name of a file
            raise OSError(error.errno, error.strerror, name) from error
        while True:
            words = _process(runtime, folder, seconds)
            if not (folder / "version.txt").exists():
                raise UnsupportedError(f"runtime {runtime.name} does not start: {_last_line(words)}")
            open_jobs = [n for n in range(len(jobs)) if not _finished(folder, n)]
            if not open_jobs:
                break
            (folder / f"{open_jobs[0]}.txt").write_text(
                f"the process ended: {_last_line(words)}", encoding="utf-8"
            )
        version = (folder / "version.txt").read_text()
        return Replies(version, [_reply(folder, n, job) for n, job in enumerate(jobs)])


def _write(folder: Path, runtime: Runtime, jobs: Sequence[Job]) -> None:
    entries = []
    for number, job in enumerate(jobs):
        inputs = folder / f"in{number}.npz"
        arrays: dict[str, Any] = {str(place): array for place, array in enumerate(job.inputs.values())}
        np.savez(inputs, **arrays)
        entries.append(
            {
                "folder": os.fspath(job.model.absolute().parent),
                "name": job.model.name,
                "inputs": os.fspath(inputs),
                "names": list(job.inputs),
                "outputs": list(job.outputs),
            }
        )
    (folder / "jobs.json").write_text(json.dumps({"adapter": runtime.adapter, "jobs": entries}))


def _process(runtime: Runtime, folder: Path, patience: float) -> str:
    """Run the worker once; what it wrote to stderr, or how it ended."""
    here = os.fspath(Path(__file__).parents[3])
    paths = os.pathsep.join([here, *runtime.path, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [runtime.python, "-m", "vggrepro.verify.runtimes.worker", os.fspath(folder)]
    quiet = {"OPENCV_LOG_LEVEL": "SILENT", "PYTHONPATH": paths}
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **quiet},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {patience:g} s"
    except OSError as error:
        return str(error)
    return f"{done.stderr}\nsignal {-done.returncode}" if done.returncode < 0 else done.stderr


def _last_line(words: str) -> str:
    return next((line for line in reversed(words.splitlines()) if line.strip()), "without a word")


def _finished(folder: Path, number: int) -> bool:
    return (folder / f"{number}.npz").exists() or (folder / f"{number}.txt").exists()


def _reply(folder: Path, number: int, job: Job) -> Reply:
    failed = folder / f"{number}.txt"
    if failed.exists():
        return Reply(error=failed.read_text(encoding="utf-8"))
    with np.load(folder / f"{number}.npz", allow_pickle=False) as arrays:
        return Reply({name: arrays[str(place)] for place, name in enumerate(job.outputs)})

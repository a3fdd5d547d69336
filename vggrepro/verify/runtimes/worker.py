"""The process in which a runtime runs: ``python -m vggrepro.verify.runtimes.worker FOLDER``.

It needs nothing of the package but an adapter, so that it works under an interpreter that has only NumPy and
the runtime. ``FOLDER/jobs.json`` holds the adapter's module and the jobs; each job leaves ``<number>.npz``
with what the runtime answered, or ``<number>.txt`` with its words. ``version.txt`` comes first.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> int:
    plan = json.loads((folder / "jobs.json").read_text())
    adapter = importlib.import_module(plan["adapter"])
    (folder / "version.txt").write_text(adapter.version())
    for number, job in enumerate(plan["jobs"]):
        if not (folder / f"{number}.npz").exists() and not (folder / f"{number}.txt").exists():
            _run(adapter, job, folder / str(number))
    return 0


def _run(adapter: Any, job: dict[str, Any], stem: Path) -> None:
    """One job. Whatever the runtime raises is its answer: each has exceptions of its own. It gets a name in
    the working directory: some take no path that is no UTF-8."""
    with np.load(job["inputs"], allow_pickle=False) as arrays:
        inputs = {name: arrays[str(place)] for place, name in enumerate(job["names"])}
    try:
        os.chdir(job["folder"])
        answers = adapter.answers(job["name"], inputs, job["outputs"])
    except Exception as error:
        words = f"{type(error).__name__}: {error}"[:4000]
        stem.with_suffix(".txt").write_text(words, encoding="utf-8", errors="backslashreplace")
        return
    found = {str(place): answers[name] for place, name in enumerate(job["outputs"])}
    part = stem.with_suffix(".part.npz")
    np.savez(part, **found)
    part.replace(stem.with_suffix(".npz"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

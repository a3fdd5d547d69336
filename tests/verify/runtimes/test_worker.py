"""The process that runs a runtime: what it leaves in its folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from vggrepro.verify.runtimes.worker import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "doubling_run.py").write_text(
        "import os\n"
        "def version(): return '1.5'\n"
        "def answers(model, inputs, outputs):\n"
        "    if model == 'bad': raise KeyError(model)\n"
        "    assert os.getcwd().endswith('models')\n"
        "    return {o: 2 * inputs['a:b/c'] for o in outputs}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    np.savez(tmp_path / "in0.npz", **{"0": np.ones(3, np.float32)})
    monkeypatch.chdir(tmp_path)  # the worker changes it
    (tmp_path / "models").mkdir()
    job = {
        "folder": str(tmp_path / "models"),
        "inputs": str(tmp_path / "in0.npz"),
        "names": ["a:b/c"],
        "outputs": ["y/z"],
    }
    jobs = [{**job, "name": "good"}, {**job, "name": "bad"}, {**job, "name": "good"}]
    (tmp_path / "jobs.json").write_text(json.dumps({"adapter": "doubling_run", "jobs": jobs}))
    yield tmp_path
    del sys.modules["doubling_run"]


def test_every_job_leaves_its_answer(folder: Path) -> None:
    assert main(folder) == 0
    assert (folder / "version.txt").read_text() == "1.5"
    with np.load(folder / "0.npz") as arrays:
        np.testing.assert_array_equal(arrays["0"], [2, 2, 2])
    assert (folder / "1.txt").read_text() == "KeyError: 'bad'"
    assert not (folder / "1.npz").exists()


def test_a_job_that_is_done_is_not_done_again(folder: Path) -> None:
    (folder / "0.txt").write_text("the process ended")
    assert main(folder) == 0
    assert not (folder / "0.npz").exists()
    assert (folder / "2.npz").exists()

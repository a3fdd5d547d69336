"""Every solver trajectory of the golden suite through ``get_solver(...).step(1)``, with one CPU thread."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden_suite import cases

import vggrepro.pycaffe as caffe
from vggrepro.caffe.weights import read_weights
from vggrepro.pycaffe import mode
from vggrepro.verify.reference_case import ReferenceCase

CASES = cases("train")
named = {"ids": lambda c: c.folder.name}


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    mode.set_threads(1)
    yield
    mode.set_threads(0)


class Run:
    """A solver of a case, in a copy of it, whose net gets the next batch before every pass."""

    def __init__(self, case: ReferenceCase, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)  # snapshots go where Caffe puts them
        for file in case.folder.iterdir():
            shutil.copy(file, folder)
        self.case, self.folder = case, folder
        self.trace, self.tolerance = load(folder / "trace.npz"), case.entry["tolerance"]
        self.data = load(folder / "data.npz")
        self.order = self.data.pop("order")
        self.solver = caffe.get_solver(str(folder / "solver.prototxt"))
        self.solver.net.copy_from(str(folder / "init.caffemodel"))
        self.passes = 0
        self.losses: list[float] = []
        last = len(self.solver.net.layers) - 1
        self.solver.net.before_forward(lambda layer: self.feed() if layer == 0 else None)
        self.solver.net.after_forward(lambda layer: self.note() if layer == last else None)

    def feed(self) -> None:
        for name, array in self.data.items():
            self.solver.net.blobs[name].data[...] = array[self.order[self.passes]]
        self.passes += 1

    def note(self) -> None:
        net = self.solver.net
        weighted = [w * net.blobs[b].data.sum() for b, w in net.blob_loss_weights.items() if w]
        self.losses.append(float(sum(weighted)))

    def steps(self, start: int, stop: int) -> None:
        size = self.case.about["iter_size"]
        self.passes = start * size
        for iteration in range(start, stop):
            rate = self.trace["lr"][iteration]
            assert abs(self.solver.lr - rate) <= self.tolerance["lr"]["rtol"] * abs(rate)
            self.solver.step(1)
            assert self.solver.iter == iteration + 1
            loss, self.losses = np.mean(self.losses), []
            self.close(loss, self.trace["loss"][iteration], "loss")
            norms = [np.linalg.norm(self.param(n).data.astype(float)) for n in self.trace["names"]]
            self.close(np.array(norms), self.trace["param_l2"][iteration], "param_l2")

    def close(self, got: np.ndarray | float, want: np.ndarray, what: str) -> None:
        given = self.tolerance[what]
        assert np.all(np.abs(got - want) <= given["rtol"] * np.maximum(np.abs(want), given["floor"]))

    def param(self, key: str) -> caffe.blob.Blob:
        layer, index = key.rsplit(":", 1)
        return self.solver.net.params[layer][int(index)]

    def check_end(self) -> None:
        given = self.tolerance["final_params"]
        for layer in read_weights(self.folder / self.case.about["final"]["files"][0]):
            for index, blob in enumerate(layer.blobs):
                got = self.param(f"{layer.name}:{index}").data
                bound = given["rtol_of_max"] * max(np.abs(blob.data).max(), given["floor"])
                assert np.abs(got - blob.data.reshape(got.shape)).max() <= bound


@pytest.mark.parametrize("case", CASES, **named)
def test_trajectory(case: ReferenceCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(case, tmp_path, monkeypatch)
    run.steps(0, case.about["iters"])
    run.check_end()


@pytest.mark.parametrize("case", CASES[::5], **named)
def test_resume_from_caffes_snapshot(
    case: ReferenceCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(case, tmp_path, monkeypatch)
    run.solver.restore(str(tmp_path / case.about["mid"]["files"][1]))
    run.steps(case.about["mid"]["iter"], case.about["iters"])
    run.check_end()

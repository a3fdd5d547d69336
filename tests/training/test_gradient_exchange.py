"""Several ranks train as one does: the same images, the same masks, the same losses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import arrays, assert_same_weights, command_line, environment, prepare, process

from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray
from vggrepro.system.ranks import Alone, find_ranks
from vggrepro.training import gradient_exchange as averaging
from vggrepro.training.gradient_exchange import MpiExchange, begin_sum

MPIRUN = Path(sys.executable).parent / "mpirun"

FIELDS = {
    "max_iter": 12,
    "display": 1,
    "snapshot": 6,
    "test_interval": 4,
    "lr_policy": '"plateau"',
    "gamma": 0.1,
    "clip_gradients": 5,
}


def mpirun(ranks: int, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mpi4py")
    if not MPIRUN.exists():
        pytest.skip("no mpirun: the mpich wheel is not installed")
    command = [str(MPIRUN), "-n", str(ranks), *process(arguments)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


def train(folder: Path, ranks: int, *more: str) -> list[dict[str, Any]]:
    done = mpirun(ranks, command_line(folder, f"ranks{ranks}", "--keep", "0", *more))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / f"ranks{ranks}.jsonl").read_text().splitlines()]


def values(events: list[dict[str, Any]], kind: str, value: Callable[[dict[str, Any]], float]) -> np.ndarray:
    return np.array([value(event) for event in events if event["event"] == kind])


def test_one_two_and_four_ranks(tmp_path: Path) -> None:
    """Same losses within the order of summation, with dropout, clipping and two passes an iteration."""
    prepare(tmp_path, **FIELDS)
    runs = {ranks: train(tmp_path, ranks, "--iter-size", "2", "--batch", "16") for ranks in (1, 2, 4)}
    for ranks in (2, 4):
        for one, several in (
            (values(runs[n], "train", lambda e: e["loss"]) for n in (1, ranks)),
            (values(runs[n], "test", lambda e: e["scores"]["loss"]) for n in (1, ranks)),
        ):
            assert len(one) == len(several) > 2
            np.testing.assert_allclose(several, one, rtol=2e-5)
        weights = [arrays(tmp_path / f"ranks{n}_iter_12.caffemodel") for n in (1, ranks)]
        for key, array in weights[0].items():
            np.testing.assert_allclose(weights[1][key], array, rtol=1e-3, atol=1e-5, err_msg=key)


def test_ranks_resume_bit_for_bit(tmp_path: Path) -> None:
    prepare(tmp_path, **FIELDS)
    train(tmp_path, 2)
    for path in tmp_path.glob("ranks2_iter_12.*"):
        path.rename(path.with_name(path.name.replace("ranks2", "whole")))
    for path in tmp_path.glob("ranks2_iter_8.*"):
        path.unlink()
    events = train(tmp_path, 2, "--resume")
    assert [e["iteration"] for e in events if e["event"] == "start"] == [0, 6]
    assert_same_weights(tmp_path / "whole_iter_12.caffemodel", tmp_path / "ranks2_iter_12.caffemodel")


def test_a_failing_rank_ends_all(tmp_path: Path) -> None:
    prepare(tmp_path, **FIELDS)
    done = mpirun(2, command_line(tmp_path, "run", "--batch", "9"))
    assert done.returncode != 0
    assert "a batch of 9 images does not divide into 1 passes on 2 ranks" in done.stderr


def test_alone_nothing_is_summed() -> None:
    buffer = DeviceArray(5, Device("cpu"))
    buffer.write(np.arange(5, dtype=np.float32))
    begin_sum(Alone(), buffer)(5)
    np.testing.assert_array_equal(buffer.read(), np.arange(5))


def test_buckets_are_waited_for_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stretch is ready when the buckets up to its end are, and no later one is waited for."""
    monkeypatch.setattr(averaging, "BUCKET", 4)
    waited: list[int] = []

    class Two(Alone):
        def begin_add_up(self, array: np.ndarray) -> Callable[[], None]:
            number = begun.append(len(array)) or len(begun) - 1
            return lambda: waited.append(number)

    begun: list[int] = []
    wait = begin_sum(Two(size=2), DeviceArray(10, Device("cpu")))
    assert begun == [4, 4, 2]
    for end, expected in ((1, [0]), (4, [0]), (5, [0, 1]), (3, [0, 1]), (10, [0, 1, 2])):
        wait(end)
        assert waited == expected


def test_no_launcher_no_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS"):
        monkeypatch.delenv(name, raising=False)
    assert find_ranks() == Alone()


def test_mpi_shares_the_first_ranks_array() -> None:
    class Second(Alone):
        def copy_first(self, array: np.ndarray) -> None:
            array[:] = 7

    array = DeviceArray(3, Device("cpu"))
    MpiExchange(Alone()).share(array)
    assert not array.read().any()
    MpiExchange(Second(rank=1, size=2)).share(array)
    np.testing.assert_array_equal(array.read(), [7, 7, 7])

"""Snapshots: which files there are, what they hold, and which of them stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_files import image, layer

from vggrepro.caffe.messages import SolverState
from vggrepro.errors import SolverError, WeightsError
from vggrepro.training.snapshots import (
    existing,
    latest,
    paths,
    read,
    record_beside,
    surplus,
    weight_file_of,
    weights_of,
)
from vggrepro.training.solver import Solver
from vggrepro.training.solver_arrays import SolverArrays

PRODUCT = 'inner_product_param { num_output: 2 weight_filler { type: "xavier" } }'


@given(st.sets(st.integers(0, 100)), st.integers(0, 5), st.integers(0, 100))
def test_surplus_leaves_the_last_and_the_best(iterations: set[int], keep: int, best: int) -> None:
    left = iterations - set(surplus(iterations, keep, best))
    assert left >= set(sorted(iterations)[-keep:] if keep else iterations)
    assert (best in left) == (best in iterations)
    assert keep == 0 or len(left) <= keep + 1


def test_existing_snapshots(tmp_path: Path) -> None:
    for name in (
        "a_iter_5.solverstate", "a_iter_40.solverstate.h5", "a_iter_7.caffemodel",
        "ab_iter_9.solverstate", "a_iter_x.solverstate", ".a_iter_6.solverstate.123.tmp",
    ):  # fmt: skip
        (tmp_path / name).touch()
    prefix = str(tmp_path / "a")
    assert list(existing(prefix)) == [5, 40]
    assert list(existing(prefix, last=39)) == [5]
    assert latest(prefix) == tmp_path / "a_iter_40.solverstate.h5"
    assert latest(str(tmp_path / "no" / "a")) is None
    assert record_beside(tmp_path / "a_iter_40.solverstate.h5") == tmp_path / "a_iter_40.json"


def solver_of(folder: Path, more: str = "") -> Solver:
    text = image(2, 3) + image(2, 2, name="t") + layer("ip", "InnerProduct", "data", more=PRODUCT)
    (folder / "net.prototxt").write_text(text + layer("loss", "EuclideanLoss", "ip t"))
    path = folder / "solver.prototxt"
    path.write_text(
        f'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" random_seed: 1 momentum: 0.9 {more}'
        f' snapshot_prefix: "{folder}/run"'
    )
    return Solver(path, threads=1)


def step(solver: Solver) -> None:
    solver.step([{"data": np.ones((2, 3), np.float32), "t": np.zeros((2, 2), np.float32)}])


@pytest.mark.parametrize(
    ("more", "ending"), [("snapshot_format: BINARYPROTO", ""), ("snapshot_format: HDF5", ".h5")]
)
def test_names_of_a_snapshots_files(tmp_path: Path, more: str, ending: str) -> None:
    files = paths(solver_of(tmp_path, more).definition, 40)
    assert files.model == tmp_path / f"run_iter_40.caffemodel{ending}"
    assert files.state == tmp_path / f"run_iter_40.solverstate{ending}"
    assert files.record == record_beside(files.state) == tmp_path / "run_iter_40.json"
    assert files.all[0] == files.state  # the first to be removed: a resume looks for it


@pytest.mark.parametrize("more", ["", "snapshot_format: HDF5"])
def test_what_is_written_is_read(tmp_path: Path, more: str) -> None:
    solver = solver_of(tmp_path, more)
    step(solver)
    model, state = solver.snapshot()
    restored = read(state, solver.arrays)
    assert (restored.iteration, restored.current_step, restored.learned_net) == (1, 0, str(model))
    (history,) = restored.histories
    for key, array in solver.arrays.read(solver.arrays.histories[0]).items():
        np.testing.assert_array_equal(history[key], array)
        assert array.any()
    for key, array in weights_of(solver.net, model).items():
        np.testing.assert_array_equal(array, solver.params[key])


def test_a_state_of_another_solver(tmp_path: Path) -> None:
    state = solver_of(tmp_path).snapshot()[1]
    (tmp_path / "adam").mkdir()
    adam = solver_of(tmp_path / "adam", 'type: "Adam"')
    with pytest.raises(SolverError, match="Incorrect length of history blobs: 2, expected 4"):
        read(state, adam.arrays)


def test_histories_of_another_net(tmp_path: Path) -> None:
    solver = solver_of(tmp_path)
    state = solver.snapshot()[1]
    wider = SolverArrays.allocate(solver.net, solver.device, histories=1, accumulates=False)
    wider.layout.shapes["ip:1"] = (3,)
    with pytest.raises(SolverError, match=r"history of ip:1 has shape \(2,\), expected \(3,\)"):
        read(state, wider)


def test_histories_in_the_shapes_of_2014(tmp_path: Path) -> None:
    solver = solver_of(tmp_path)
    step(solver)
    state = solver.snapshot()[1]
    message = SolverState.FromString(state.read_bytes())
    for blob in message.history:
        blob.num, blob.channels, blob.height, blob.width = [1] * (4 - len(blob.shape.dim)) + [*blob.shape.dim]
        blob.ClearField("shape")
    (older := tmp_path / "older.solverstate").write_bytes(message.SerializeToString())
    expected, got = (read(path, solver.arrays).histories[0] for path in (state, older))
    for key, array in expected.items():
        np.testing.assert_array_equal(got[key], array, strict=True)


def test_weights_where_the_state_says_else_beside_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    named = tmp_path / "there" / "w.caffemodel"
    state = tmp_path / "here" / "s.solverstate"
    assert weight_file_of(state, str(named)) == tmp_path / "here" / "w.caffemodel"
    named.touch()
    assert weight_file_of(state, str(named)) == named


def test_layers_to_copy_must_be_there(tmp_path: Path) -> None:
    solver = solver_of(tmp_path)
    model = solver.snapshot()[0]
    assert set(weights_of(solver.net, model, ["ip"])) == {"ip:0", "ip:1"}
    with pytest.raises(WeightsError, match="no layer fc8 to copy weights of"):
        weights_of(solver.net, model, ["ip", "fc8"])


def test_a_restored_momentum_moves_what_is_frozen_now(tmp_path: Path) -> None:
    """As in Caffe, of which lr_mult is not asked when the history is subtracted."""
    solver = solver_of(tmp_path)
    step(solver)
    _, state = solver.snapshot()
    net = tmp_path / "net.prototxt"
    net.write_text(net.read_text().replace(PRODUCT, "param { lr_mult: 0 } param { lr_mult: 0 } " + PRODUCT))
    frozen = Solver(solver.definition.path, threads=1)
    frozen.restore(state)
    before = frozen.params["ip:0"].copy()
    history = frozen.arrays.read(frozen.arrays.histories[0])["ip:0"].copy()
    step(frozen)
    assert history.all()
    np.testing.assert_allclose(before - frozen.params["ip:0"], 0.9 * history, rtol=1e-4, atol=1e-7)

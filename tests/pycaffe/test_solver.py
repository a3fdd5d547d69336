"""``caffe.SGDSolver`` and its kin: what scripts see and change between the steps."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from nets import CLASSIFYING, write
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe

SOLVER = """net: "NET" test_iter: 2 test_interval: 5 base_lr: 0.01 momentum: 0.9 weight_decay: 0.0005
lr_policy: "inv" gamma: 0.1 power: 0.75 display: 5 max_iter: 12 snapshot_after_train: false
snapshot_prefix: "PREFIX" random_seed: 1 """

FROZEN = CLASSIFYING.replace('top: "scores"', 'top: "scores" param { lr_mult: 0 } param { lr_mult: 0 }')


def solver_file(folder: Path, more: str = "", net: str = CLASSIFYING) -> str:
    text = SOLVER.replace("NET", write(folder, net)).replace("PREFIX", str(folder / "snap"))
    return write(folder, text + more, "solver.prototxt")


@pytest.fixture
def solver(tmp_path: Path) -> caffe.SGDSolver:
    return caffe.SGDSolver(solver_file(tmp_path))


def test_solve(solver: caffe.SGDSolver, capfd: pytest.CaptureFixture[str]) -> None:
    assert solver.iter == 0 and len(solver.test_nets) == 1
    assert solver.param.max_iter == 12 and solver.param.display == 5
    caffe.init_log(0)
    solver.solve()
    assert solver.iter == 12
    lines = capfd.readouterr().err
    assert re.search(r"Iteration 10 \([\d.e+-]+ iter/s, [\d.e+-]+s/5 iters\), loss = \d", lines)
    assert "Iteration 10, Testing net (#0)" in lines and "Iteration 10, lr = 0.00594604" in lines
    assert "Test net output #0: loss = " in lines and "Optimization Done." in lines


def test_single_steps_are_counted_for_the_speed(
    solver: caffe.SGDSolver, capfd: pytest.CaptureFixture[str]
) -> None:
    caffe.init_log(0)
    for _ in range(11):
        solver.step(1)
    found = re.findall(r"Iteration (\d+) \((\S+) iter/s, (\S+)s/5 iters\)", capfd.readouterr().err)
    assert [int(iteration) for iteration, *_ in found] == [0, 5, 10]
    counts = [float(speed) * float(seconds) for _, speed, seconds in found]
    assert counts == pytest.approx([0, 5, 5], rel=1e-3)


@pytest.mark.parametrize(("passes", "loss"), [(0, "nan"), (-1, "-0")])
def test_a_test_of_no_passes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], passes: int, loss: str
) -> None:
    text = Path(solver_file(tmp_path, "test_compute_loss: true")).read_text()
    solver = caffe.SGDSolver(write(tmp_path, text.replace("test_iter: 2", f"test_iter: {passes}"), "none"))
    caffe.init_log(0)
    with np.errstate(all="raise"):
        solver.step(1)
    lines = capfd.readouterr().err
    assert "Testing net (#0)" in lines and f"Test loss: {loss}" in lines and "Test net output" not in lines


def test_nets_outlive_the_solver(solver: caffe.SGDSolver) -> None:
    solver.step(1)
    nets = [solver.net, *solver.test_nets]
    del solver
    for net in nets:
        assert all(np.isfinite(b.data).all() for blobs in net.params.values() for b in blobs)
        net.forward()


def test_apply_update_moves_by_the_diffs(solver: caffe.SGDSolver) -> None:
    """Without momentum yet: rate times (diff + decay times weight), and the step is left in the diff."""
    weight = solver.net.layers[1].blobs[0]
    data = weight.data
    data[...] = 0
    weight.diff[...] = 1
    assert solver.lr == pytest.approx(0.01)
    solver.apply_update()
    assert solver.iter == 0
    assert_allclose(data, -0.01, rtol=1e-6)
    assert_allclose(weight.diff, 0.01, rtol=1e-6)
    weight.diff[...] = 0
    data[...] = 0
    solver.apply_update()
    assert_allclose(data, -0.009, rtol=1e-6)


def test_step_by_hand_is_a_step(tmp_path: Path) -> None:
    file = solver_file(tmp_path)
    whole, single = caffe.SGDSolver(file), caffe.SGDSolver(file)
    for ours, theirs in zip(whole.net.params.values(), single.net.params.values(), strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            other.data[...] = mine.data
    single.net.clear_param_diffs()
    whole.step(1)
    single.net.blobs["data"].data[...] = whole.net.blobs["data"].data
    single.net.forward(start="conv")
    single.net.backward()
    single.apply_update()
    assert_array_equal(whole.net.params["ip"][0].data, single.net.params["ip"][0].data)


def test_edited_weights_and_gradients_count(solver: caffe.SGDSolver) -> None:
    ip = solver.net.params["ip"]
    solver.step(1)
    ip[0].data[...] = 0
    ip[1].data[...] = 0
    solver.net.forward()
    assert_allclose(solver.net.blobs["loss"].data, np.log(8), rtol=1e-6)


def test_callbacks(solver: caffe.SGDSolver) -> None:
    calls = []

    def ready() -> None:
        calls.append("ready")
        for blobs in solver.net.params.values():
            for blob in blobs:
                blob.diff[...] = 0

    solver.add_callback(lambda: calls.append("start"), ready)
    before = solver.net.params["ip"][1].data.copy()
    solver.step(2)
    assert calls == ["start", "ready"] * 2
    assert_array_equal(solver.net.params["ip"][1].data, before)  # the bias begins at 0: no decay either
    with pytest.raises(RuntimeError, match="add_callback takes two functions"):
        solver.add_callback(object())


def test_tests_use_the_trained_weights(solver: caffe.SGDSolver) -> None:
    solver.step(6)
    solver.net.params["ip"][1].data[...] = 3
    assert (solver.test_nets[0].params["ip"][1].data == 3).all()


def test_a_restored_momentum_moves_what_is_frozen_now(tmp_path: Path) -> None:
    """As in Caffe, of which lr_mult is not asked when the history is subtracted."""
    solver = caffe.SGDSolver(solver_file(tmp_path))
    solver.step(1)
    solver.snapshot()
    moved = solver.net.params["ip"][1].diff.copy()  # which is the history after an update
    frozen = caffe.SGDSolver(solver_file(tmp_path, net=FROZEN))
    frozen.restore(str(tmp_path / "snap_iter_1.solverstate"))
    before = frozen.net.params["ip"][1].data.copy()
    frozen.step(1)
    assert moved.any()
    assert_allclose(before - frozen.net.params["ip"][1].data, 0.9 * moved, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("more", ["", "snapshot_format: HDF5"])
def test_snapshot_and_restore(tmp_path: Path, more: str) -> None:
    if more:
        pytest.importorskip("h5py")
    file = solver_file(tmp_path, more)
    solver = caffe.SGDSolver(file)
    solver.step(3)
    solver.snapshot()
    suffix = ".h5" if more else ""
    assert (tmp_path / f"snap_iter_3.caffemodel{suffix}").exists()
    if not more:
        solver.net.save(str(tmp_path / "saved"))
        assert (tmp_path / "saved").read_bytes() == (tmp_path / "snap_iter_3.caffemodel").read_bytes()
    again = caffe.SGDSolver(file)
    again.restore(str(tmp_path / f"snap_iter_3.solverstate{suffix}"))
    assert again.iter == 3
    for s in (solver, again):
        s.net.blobs["data"].data[...] = 0.25
        s.net.clear_param_diffs()
        s.net.forward(start="conv")
        s.net.backward()
        s.apply_update()
    assert_array_equal(solver.net.params["conv"][0].data, again.net.params["conv"][0].data)


def test_share_weights(solver: caffe.SGDSolver, tmp_path: Path) -> None:
    net = caffe.Net(write(tmp_path, CLASSIFYING), caffe.TEST)
    solver.share_weights(net)
    solver.net.params["ip"][1].data[...] = 9
    assert (net.params["ip"][1].data == 9).all()


def test_a_trained_net_may_use_the_parameters_of_another(tmp_path: Path) -> None:
    """Updates, snapshots and restored values are those of the memory that is shared."""
    plain, sharing = (caffe.SGDSolver(solver_file(tmp_path)) for _ in range(2))
    other = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    pairs = [
        (mine, theirs)
        for name, blobs in other.params.items()
        for mine, theirs in zip(blobs, plain.net.params[name], strict=True)
    ]
    first = [theirs.data.copy() for _, theirs in pairs]
    for mine, theirs in pairs:
        mine.data[...] = theirs.data
    sharing.net.share_with(other)
    plain.step(3)
    sharing.step(3)
    assert all((theirs.data != before).any() for (_, theirs), before in zip(pairs, first, strict=True))
    for mine, theirs in pairs:
        assert_array_equal(mine.data, theirs.data)
    sharing.snapshot()
    for mine, _ in pairs:
        mine.data[...] = 7
    sharing.restore(str(tmp_path / "snap_iter_3.solverstate"))
    for mine, theirs in pairs:
        assert_array_equal(mine.data, theirs.data)


@pytest.mark.parametrize("kind", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_every_type(tmp_path: Path, kind: str) -> None:
    file = Path(solver_file(tmp_path, f'type: "{kind}" delta: 1e-6'))
    if kind in ("AdaGrad", "RMSProp"):
        file.write_text(file.read_text().replace("momentum: 0.9", ""))
    solver = caffe.get_solver(str(file))
    assert type(solver) is getattr(caffe, f"{kind}Solver")
    before = solver.net.params["ip"][0].data.copy()
    solver.step(2)
    assert (solver.net.params["ip"][0].data != before).any()


def test_class_counts_and_not_the_type_in_the_file(tmp_path: Path) -> None:
    assert caffe.NesterovSolver(solver_file(tmp_path)).param.type == "Nesterov"
    with pytest.raises(RuntimeError, match="Momentum cannot be used with AdaGrad"):
        caffe.AdaGradSolver(solver_file(tmp_path))


def test_files_named_by_bytes(tmp_path: Path) -> None:
    path = os.fsencode(solver_file(tmp_path))
    caffe.SGDSolver(path).snapshot()
    solver = caffe.get_solver(path)
    solver.iter = 5
    solver.restore(os.fsencode(tmp_path / "snap_iter_0.solverstate"))
    assert solver.iter == 0


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Could not open file"):
        caffe.SGDSolver(str(tmp_path / "none.prototxt"))
    with pytest.raises(RuntimeError, match=r"lr_policy|learning rate policy"):
        caffe.SGDSolver(solver_file(tmp_path, 'lr_policy: "never"'))


def test_the_weights_are_there_when_the_state_is_announced(
    solver: caffe.SGDSolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that follow the log take the weights then."""
    said: list[tuple[str, bool]] = []
    weights = tmp_path / "snap_iter_0.caffemodel"
    monkeypatch.setattr(
        caffe.solver.glog,
        "log",
        lambda message, _: said.append((message.split(" file")[0], weights.exists())),
    )
    solver.snapshot()
    assert said == [
        ("Snapshotting to binary proto", False),
        ("Snapshotting solver state to binary proto", True),
    ]


def test_steps_of_multistep_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = Path(solver_file(tmp_path, "stepvalue: 2 stepvalue: 3"))
    file.write_text(file.read_text().replace('"inv"', '"multistep"'))
    solver = caffe.SGDSolver(str(file))
    capfd.readouterr()
    solver.step(5)
    told = [line.split("] ")[1] for line in capfd.readouterr().err.splitlines() if "MultiStep" in line]
    assert told == [f"MultiStep Status: Iteration {n}, step = {n - 1}" for n in (2, 3)]


def test_an_iteration_that_a_script_counts(tmp_path: Path) -> None:
    """The rate of ``apply_update`` follows the count."""
    solver = caffe.get_solver(solver_file(tmp_path))
    solver.net.forward_simple()
    solver.net.clear_param_diffs()
    rates = []
    for _ in range(3):
        solver.increment_iter()
        solver.apply_update()
        rates.append(solver.lr)
    assert solver.iter == 3
    assert rates == sorted(set(rates), reverse=True)
    solver.set_iter(1)
    assert (solver.iter, solver.lr) == (1, rates[0])


def test_a_base_rate_that_a_script_changes(tmp_path: Path) -> None:
    """Plateaus halve it: the policy goes on from the new rate, and its own factor stays."""
    solver = caffe.get_solver(solver_file(tmp_path))
    solver.step(2)
    before = solver.lr
    solver.set_base_lr(solver.get_base_lr() * 0.5)
    assert (solver.get_base_lr(), solver.lr) == (pytest.approx(0.005), pytest.approx(before / 2))

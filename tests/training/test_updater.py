"""The update on the device: scales, multipliers, clipping, pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.net import Net
from vggrepro.runtime.device import Device
from vggrepro.training import updater as module
from vggrepro.training.definition import Definition, read_definition
from vggrepro.training.solver_arrays import SolverArrays
from vggrepro.training.updater import Updater

CPU = Device("cpu")
MULTIPLIERS = "param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 } "
FROZEN = "param { lr_mult: 0 } param { lr_mult: 2 decay_mult: 0 } "


def net_with(tmp_path: Path, params: str = MULTIPLIERS) -> Net:
    product = params + "inner_product_param { num_output: 4 }"
    return net_of(tmp_path, image(2, 3) + layer("ip", "InnerProduct", "data", more=product))


def definition_of(tmp_path: Path, text: str) -> Definition:
    path = tmp_path / "solver.prototxt"
    path.write_text(f'net: "net.prototxt" base_lr: 1 lr_policy: "fixed" {text}')
    return read_definition(path)


def arrays_of(net: Net, *, histories: int = 1, accumulates: bool = False) -> SolverArrays:
    """The net's parameters, and gradients of 1, 2, 3, ... throughout."""
    arrays = SolverArrays.allocate(net, CPU, histories=histories, accumulates=accumulates)
    arrays.write(arrays.values, net.params)
    arrays.total.write(np.arange(1, arrays.layout.size + 1, dtype=np.float32))
    return arrays


def moved_by(arrays: SolverArrays, net: Net) -> dict[str, np.ndarray]:
    """What the update has subtracted."""
    return {key: net.params[key] - array for key, array in arrays.read(arrays.values).items()}


def test_multipliers(tmp_path: Path) -> None:
    net, arrays = net_with(tmp_path), arrays_of(net_with(tmp_path))
    d = {key: array.copy() for key, array in arrays.read(arrays.total).items()}
    Updater(definition_of(tmp_path, "weight_decay: 0.5"), net, arrays, CPU, 1).update(0.1, 0)
    moved = moved_by(arrays, net)
    np.testing.assert_allclose(moved["ip:0"], 0.1 * (d["ip:0"] + 0.5 * net.params["ip:0"]), rtol=1e-5)
    np.testing.assert_allclose(moved["ip:1"], 0.2 * d["ip:1"], rtol=1e-5)


def test_steps_are_left_in_the_gradients_place(tmp_path: Path) -> None:
    net = net_with(tmp_path)
    arrays = arrays_of(net)
    Updater(definition_of(tmp_path, "momentum: 0.9"), net, arrays, CPU, 1, keeps_steps=True).update(0.1, 0)
    left = arrays.read(arrays.total)
    for key, moved in moved_by(arrays, net).items():
        np.testing.assert_allclose(left[key], moved, rtol=1e-5, atol=1e-6)


def test_gradients_are_averaged_over_passes_and_ranks(tmp_path: Path) -> None:
    net = net_with(tmp_path)
    arrays = arrays_of(net, accumulates=True)
    d = arrays.read(arrays.total)["ip:0"].copy()
    Updater(definition_of(tmp_path, "iter_size: 2"), net, arrays, CPU, 1, 4).update(1, 0)
    np.testing.assert_allclose(moved_by(arrays, net)["ip:0"], d / 8, rtol=1e-5)


def test_accumulate_adds_a_pass(tmp_path: Path) -> None:
    net = net_with(tmp_path)
    arrays = arrays_of(net, accumulates=True)
    arrays.gradients.write(np.full(arrays.layout.size, 10, np.float32))
    Updater(definition_of(tmp_path, "iter_size: 2"), net, arrays, CPU, 1).accumulate()
    np.testing.assert_array_equal(arrays.total.read(), np.arange(1, arrays.layout.size + 1) + 10)
    np.testing.assert_array_equal(arrays.gradients.read(), np.full(arrays.layout.size, 10))


@pytest.mark.parametrize(("limit", "ranks"), [(3, 1), (3, 2), (1e6, 1)])
def test_clipping_looks_at_the_norm_of_all(tmp_path: Path, limit: float, ranks: int) -> None:
    net = net_with(tmp_path)
    arrays = arrays_of(net)
    flat = arrays.total.read()
    norm = np.linalg.norm(flat.astype(np.float64)) / ranks
    d = arrays.read(arrays.total)["ip:0"].copy()
    Updater(definition_of(tmp_path, f"clip_gradients: {limit}"), net, arrays, CPU, 1, ranks).update(1, 0)
    np.testing.assert_allclose(
        moved_by(arrays, net)["ip:0"], d / ranks * min(limit / norm, 1), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("solver_type", ["SGD", "Adam"])
def test_a_frozen_parameter_stays_and_its_history_as_caffes(tmp_path: Path, solver_type: str) -> None:
    """SGD's history has the rate inside, so that nothing moves; Adam's has not."""
    net = net_with(tmp_path, FROZEN)
    arrays = arrays_of(net, histories=2 if solver_type == "Adam" else 1)
    text = f'type: "{solver_type}" momentum: 0.9'
    Updater(definition_of(tmp_path, text), net, arrays, CPU, 1).update(0.1, 0)
    assert not moved_by(arrays, net)["ip:0"].any()
    assert moved_by(arrays, net)["ip:1"].all()
    assert arrays.read(arrays.histories[0])["ip:0"].any() == (solver_type == "Adam")


def test_adam_corrects_its_rate(tmp_path: Path) -> None:
    """In the first iteration the correction makes steps of the rate's size, whatever the gradient."""
    net = net_with(tmp_path)
    arrays = arrays_of(net, histories=2)
    text = 'type: "Adam" momentum: 0.9 momentum2: 0.999 delta: 1e-12'
    Updater(definition_of(tmp_path, text), net, arrays, CPU, 1).update(0.1, 0)
    np.testing.assert_allclose(moved_by(arrays, net)["ip:0"], np.full((4, 3), 0.1), rtol=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("momenta", ["momentum: 1 momentum2: 1", "momentum: 0.5 momentum2: 2"])
def test_adam_with_momenta_of_one_and_more_moves_to_no_numbers(tmp_path: Path, momenta: str) -> None:
    net = net_with(tmp_path)
    arrays = arrays_of(net, histories=2)
    Updater(definition_of(tmp_path, f'type: "Adam" {momenta}'), net, arrays, CPU, 1).update(0.1, 2000)
    assert np.isnan(moved_by(arrays, net)["ip:0"]).all()


@pytest.mark.parametrize("text", ["momentum: 0.9 weight_decay: 0.1 clip_gradients: 5", "momentum: 0.9"])
def test_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    net, results = net_with(tmp_path), []
    for piece in (1 << 18, 5):
        monkeypatch.setitem(module.PIECE, "cpu", piece)
        arrays = arrays_of(net)
        update = Updater(definition_of(tmp_path, text), net, arrays, CPU, 1)
        for iteration in range(3):
            update.update(0.1, iteration)
        results.append((arrays.values.read().copy(), arrays.histories[0].read().copy()))
    for whole, cut in zip(*results, strict=True):
        np.testing.assert_allclose(cut, whole, rtol=1e-6)


@pytest.mark.parametrize("solver_type", ["SGD", "AdaDelta"])
def test_threads_give_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver_type: str
) -> None:
    monkeypatch.setitem(module.PIECE, "cpu", 3)
    net, results = net_with(tmp_path), []
    for threads in (1, 2, 5):
        arrays = arrays_of(net, histories=2, accumulates=True)
        text = f'type: "{solver_type}" momentum: 0.9 weight_decay: 0.1 iter_size: 2 delta: 1e-6'
        update = Updater(definition_of(tmp_path, text), net, arrays, CPU, threads)
        for iteration in range(3):
            update.accumulate()
            update.update(0.1, iteration)
        results.append([array.read().copy() for array in (arrays.values, *arrays.histories)])
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_each_stretch_waits_for_its_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.PIECE, "cpu", 8)
    net = net_with(tmp_path)
    waited: list[int] = []
    update = Updater(definition_of(tmp_path, ""), net, arrays_of(net), CPU, 1)
    update.update(0.1, 0, waited.append)
    assert waited == [8, 12, 20]  # ip:0 has 12 elements; ip:1, with 4, begins at 16


@pytest.mark.parametrize(("solver_type", "factor"), [("SGD", 0.9), ("Nesterov", 0.9 * 0.9)])
def test_the_momentum_of_a_run_that_goes_on_moves_what_is_frozen_now(
    tmp_path: Path, solver_type: str, factor: float
) -> None:
    """As in Caffe, whose rules do not ask for lr_mult: Nesterov's step is ``1.9 h' - 0.9 h`` of
    ``h' = 0.9 h``."""
    net = net_with(tmp_path, FROZEN)
    arrays = arrays_of(net)
    updater = Updater(definition_of(tmp_path, f'type: "{solver_type}" momentum: 0.9'), net, arrays, CPU, 1)
    arrays.write(arrays.histories[0], {"ip:0": np.full((4, 3), 2, np.float32)})
    updater.bind_moves()
    updater.update(0.1, 0)
    np.testing.assert_allclose(moved_by(arrays, net)["ip:0"], np.full((4, 3), 2 * factor), rtol=1e-5)
    np.testing.assert_allclose(arrays.read(arrays.histories[0])["ip:0"], np.full((4, 3), 1.8), rtol=1e-6)

"""What is trained, from which weights, and how it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import write_solver

from vggrepro.cli.options.training import RunSettings, SolverOptions, definition_of
from vggrepro.errors import OptionError, ParseError
from vggrepro.paper.trainings import find_preset
from vggrepro.system.ranks import Alone
from vggrepro.training.definition import read_definition


@pytest.mark.parametrize(
    ("given", "fields", "rank", "ranks", "device"),
    [
        (None, {"solver_mode": "CPU"}, 0, 1, "cpu"),
        (None, {"solver_mode": "GPU", "device_id": 2}, 0, 1, "cuda:2"),
        (None, {"solver_mode": "GPU", "device_id": 2}, 3, 4, "cuda:2"),
        (None, {"solver_mode": "GPU"}, 0, 1, "cuda"),
        ("cpu", {"solver_mode": "GPU"}, 0, 1, "cpu"),
        ("cuda", {}, 0, 1, "cuda"),
        ("cuda", {}, 3, 4, "cuda:3"),
        ("cuda", {"device_id": 2}, 3, 4, "cuda:3"),
        ("cuda:0", {}, 3, 4, "cuda:0"),
        (None, {"solver_mode": "GPU"}, 3, 4, "cuda:3"),
        ("cpu", {}, 3, 4, "cpu"),
    ],
)
def test_devices(
    tmp_path: Path, given: str | None, fields: dict[str, object], rank: int, ranks: int, device: str
) -> None:
    definition = read_definition(write_solver(tmp_path, **fields))
    assert RunSettings(given).placed(definition, Alone(rank, ranks, rank)) == device


def test_settings_replace_the_files_fields_in_their_order(tmp_path: Path) -> None:
    solver = SolverOptions(write_solver(tmp_path, max_iter=7), settings=("max_iter: 9", 'type: "Adam"'))
    preset = ["max_iter: 8", "base_lr: 0.5"]
    definition, batch = definition_of(solver, RunSettings(), preset, images=False)
    param = definition.param
    assert (param.max_iter, param.base_lr, param.type, batch) == (9, 0.5, "Adam", None)


@pytest.mark.parametrize("prefix", ['a"b', 'x" max_iter: 1 type: "', "back\\slash\n", "ä", "runs/x"])
def test_a_prefix_is_taken_as_it_is(tmp_path: Path, prefix: str) -> None:
    solver = SolverOptions(write_solver(tmp_path, max_iter=7), settings=('snapshot_prefix: "other"',))
    definition, _ = definition_of(solver, RunSettings(snapshot_prefix=prefix), [], images=False)
    assert definition.snapshot_prefix == prefix
    assert definition.param.max_iter == 7


def test_a_prefix_that_is_no_text(tmp_path: Path) -> None:
    solver = SolverOptions(write_solver(tmp_path))
    with pytest.raises(OptionError, match=r"--snapshot-prefix .*: expected UTF-8"):
        definition_of(solver, RunSettings(snapshot_prefix="\udcff"), [], images=False)


def test_iter_size_keeps_the_batch(tmp_path: Path) -> None:
    solver = SolverOptions(write_solver(tmp_path, iter_size=3), iter_size=2)
    definition, batch = definition_of(solver, RunSettings(), [], images=True)
    assert (definition.param.iter_size, batch) == (2, 24)
    _, batch = definition_of(replace(solver, batch=10), RunSettings(), [], images=True)
    assert batch == 10
    with pytest.raises(OptionError, match=r"--iter-size divides the batch of --data"):
        definition_of(solver, RunSettings(), [], images=False)


def test_solvers_that_are_none(tmp_path: Path) -> None:
    solver = SolverOptions(write_solver(tmp_path), settings=("max_itr: 3",))
    with pytest.raises(ParseError, match="setting 'max_itr: 3':1:1"):
        definition_of(solver, RunSettings(), [], images=False)
    with pytest.raises(OptionError, match="no solver: expected --config FILE"):
        definition_of(SolverOptions(), RunSettings(), [], images=False)


def test_presets_files_lie_where_they_are_said_to() -> None:
    preset = find_preset("D:256")
    assert SolverOptions(preset="D:256").found_preset() == preset
    assert SolverOptions().preset_file(preset).is_file()
    elsewhere = SolverOptions(preset="D:256", prototxt_dir=Path("x"))
    assert elsewhere.preset_file(preset) == Path("x/D/solver.prototxt")
    with pytest.raises(OptionError, match=r"^--prototxt-dir: expected --preset NAME with it$"):
        SolverOptions(config=Path("x"), prototxt_dir=Path("x")).found_preset()

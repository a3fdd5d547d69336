"""Putting a run together: seeds, shapes and batches, weights to begin with, tests, what the record keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import SIDE, prepare, write_solver
from validation_case import MEAN, validation

from vggrepro.data.augment import Augmentation
from vggrepro.data.reading import BadImages, Reader
from vggrepro.errors import DataError, SolverError
from vggrepro.system.ranks import Alone
from vggrepro.training.assemble import (
    InitialWeights,
    TrainingImages,
    TrainingPlan,
    assemble,
    find_state,
    images_per_iteration,
)
from vggrepro.training.definition import read_definition
from vggrepro.training.journal import Journal
from vggrepro.training.loop import Settings, Training
from vggrepro.training.run_record import RunRecord, write_record
from vggrepro.training.solver import Solver
from vggrepro.training.testing import TestNet
from vggrepro.training.training_data import TrainingData
from vggrepro.training.validation_sets import ValidationSet

Plan = Callable[..., TrainingPlan]


class Opened(Training):
    """A run that shows what it was made of."""

    def __init__(
        self,
        solver: Solver,
        data: TrainingData,
        tests: Sequence[tuple[TestNet, ValidationSet]],
        settings: Settings,
        *more: Any,
    ) -> None:
        super().__init__(solver, data, tests, settings, *more)
        self.tests, self.settings = tests, settings


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan on tiny pictures; ``solver`` are fields of its solver file, ``more`` fields of the plan."""
    prepare(tmp_path)
    monkeypatch.setattr("vggrepro.training.assemble.Training", Opened)

    def make(solver: dict[str, Any] | None = None, **more: Any) -> TrainingPlan:
        if solver is not None:
            write_solver(tmp_path, **solver)
        source = validation(tmp_path / "train", 5)
        images = TrainingImages(
            Reader(source, BadImages()),
            Reader(validation(tmp_path / "val"), BadImages()),
            Augmentation((8, 12), crop=SIDE, mean_bgr=MEAN, colour=None),
            val_smallest=10,
            workers=1,
        )
        given = {"images": images, "threads": 1, **more}
        return TrainingPlan(read_definition(tmp_path / "solver.prototxt"), **given)

    return make


def made(plan: TrainingPlan) -> Opened:
    training = assemble(plan, Journal(silent=True))
    assert isinstance(training, Opened)
    return training


def test_a_run_is_as_planned(plan: Plan) -> None:
    training = made(plan())
    assert training.solver.seed == 3
    assert training.solver.net.shapes["data"] == (8, 3, SIDE, SIDE)
    assert [net.accuracy for net, _ in training.tests] == ["accuracy"]
    assert training.settings.watch == "accuracy"
    facts = training.record.facts
    assert {name: facts[name] for name in ("batch", "iter_size", "ranks", "device", "threads")} == {
        "batch": 8,
        "iter_size": 1,
        "ranks": 1,
        "device": "cpu",
        "threads": 1,
    }
    assert (facts["images"], facts["smallest"], facts["mean_bgr"]) == (20, [8, 12], list(MEAN))
    assert facts["colour"] is None


def test_a_seed_that_is_given_goes_before_the_solvers(plan: Plan) -> None:
    ours, theirs = made(plan(seed=9)), made(plan())
    assert (ours.solver.seed, ours.record.seed) == (9, 9)
    assert not np.array_equal(ours.solver.params["conv:0"], theirs.solver.params["conv:0"])


def test_the_batch_is_shared_among_passes(plan: Plan) -> None:
    passes = {"iter_size": 4}
    assert images_per_iteration(plan(passes).definition) == 32
    training = made(plan(passes, batch=24, tests=False))
    assert training.solver.net.shapes["data"][0] == 6
    assert training.record.facts["batch"] == 24
    assert training.tests == []
    with pytest.raises(SolverError, match="a batch of 25 images does not divide into 4 passes on 1 ranks"):
        made(plan(passes, batch=25))


def test_a_batch_is_shared_among_ranks(plan: Plan) -> None:
    with pytest.raises(SolverError, match="a batch of 8 images does not divide into 1 passes on 3 ranks"):
        made(plan(ranks=Alone(0, 3)))


def test_data_layers_have_a_batch_of_their_own(plan: Plan) -> None:
    with pytest.raises(SolverError, match="a batch can be given for images alone"):
        made(plan(images=None, batch=8))


def test_a_solver_that_tests_needs_images_to_test_on(plan: Plan) -> None:
    whole = plan()
    assert whole.images is not None
    untested = replace(whole, images=replace(whole.images, val=None))
    with pytest.raises(DataError, match="tests every 4 iterations, but there is no validation set"):
        made(untested)
    assert made(replace(untested, tests=False)).tests == []


def test_weights_to_begin_with_are_told(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = made(plan(seed=1))
    model, _ = first.solver.snapshot()
    copied = assemble(plan(seed=2, initial=InitialWeights(weights=(model,))), Journal())
    for key, values in first.solver.params.items():
        np.testing.assert_array_equal(copied.solver.params[key], values)
    assert capsys.readouterr().err.splitlines() == [f"{model}: copied conv, fc; filled anew: nothing"]


def resumed(plan: Plan, state: Path, **more: Any) -> Opened:
    return made(plan(initial=InitialWeights(resume=state), **more))


def test_a_run_goes_on_with_its_own_seed(plan: Plan) -> None:
    unseeded = {"random_seed": -1, "test_iter": 1, "test_interval": 4}
    _, state = made(plan(unseeded, seed=5)).solver.snapshot()
    record = state.with_suffix(".json")
    with pytest.raises(SolverError, match=rf"the record {record.name} is missing, .* give it by --seed N"):
        resumed(plan, state)
    write_record(record, RunRecord(5, made(plan(seed=5)).record.facts))
    assert resumed(plan, state).solver.seed == 5
    with pytest.raises(SolverError, match="the run has seed 5; it cannot go on with 6"):
        resumed(plan, state, seed=6)


def test_any_negative_seed_of_the_solver_is_none(plan: Plan) -> None:
    """As in Caffe, so that a run which goes on has the seed that was drawn."""
    first = made(plan({"random_seed": -5}))
    _, state = first.solver.snapshot()
    write_record(state.with_suffix(".json"), first.record)
    assert resumed(plan, state).solver.seed == first.solver.seed


def test_which_state_a_run_begins_with(tmp_path: Path) -> None:
    prefix = str(tmp_path / "snap")
    assert find_state(prefix, None) is None
    assert find_state(prefix, "auto") is None
    assert find_state(prefix, "other.solverstate") == Path("other.solverstate")
    for name in ("", ".", "/"):
        with pytest.raises(OSError, match=r"an empty file name|the name of a folder"):
            find_state(prefix, name)
    for iteration in (9, 10):
        (tmp_path / f"snap_iter_{iteration}.solverstate").touch()
    newest = tmp_path / "snap_iter_10.solverstate"
    assert find_state(prefix, "auto") == newest
    assert find_state(prefix, "other.solverstate") == Path("other.solverstate")
    with pytest.raises(SolverError, match=f"^{newest} exists: --resume goes on from it"):
        find_state(prefix, None)

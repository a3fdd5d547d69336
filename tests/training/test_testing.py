"""Nets in phase TEST on the parameters of a net that trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_run import NET, TESTED, write_solver
from validation_case import image_test, solver_and_test, validation

from vggrepro.errors import WeightsError
from vggrepro.system.ranks import Alone
from vggrepro.training.definition import read_definition
from vggrepro.training.solver import Solver
from vggrepro.training.testing import TestNet


def test_scores_are_means_over_images(tmp_path: Path) -> None:
    """The same scores whatever the batch, which a mean over batches would not give."""
    solver, net = solver_and_test(tmp_path)
    source = validation(tmp_path / "val")
    scores = net.score(image_test(net, source), Alone(), lambda: False)
    (tmp_path / "other").mkdir()
    definition = read_definition(
        write_solver(tmp_path / "other", NET.replace("size: 5", "size: 12"), **TESTED)
    )
    whole = TestNet(solver, definition.test_messages()[0])
    expected = whole.score(image_test(whole, source), Alone(), lambda: False)
    assert scores is not None
    assert scores == pytest.approx(expected, rel=1e-6)
    assert scores["accuracy"] * 12 == pytest.approx(round(scores["accuracy"] * 12))


def test_parameters_are_shared(tmp_path: Path) -> None:
    """A step of the solver is seen by the test net at once."""
    solver, net = solver_and_test(tmp_path)
    test = image_test(net, validation(tmp_path / "val"))
    before = net.score(test, Alone(), lambda: False)
    rng = np.random.default_rng(0)
    feeds = {"data": rng.normal(0, 50, (8, 3, 8, 8)), "label": rng.integers(0, 4, 8)}
    solver.step([feeds])
    after = net.score(test, Alone(), lambda: False)
    assert before is not None
    assert after is not None
    assert before["loss"] != after["loss"]


def test_an_interrupted_test_has_no_scores(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    assert net.score(image_test(net, validation(tmp_path / "val")), Alone(), lambda: True) is None


def test_the_accuracy_that_counts(tmp_path: Path) -> None:
    top5 = (
        'layer { name: "five" type: "Accuracy" bottom: "fc" bottom: "label" top: "five"'
        " accuracy_param { top_k: 3 } include { phase: TEST } }"
    )
    head, tail = NET.split('layer { name: "accuracy"')
    _, net = solver_and_test(tmp_path, head + top5 + 'layer { name: "accuracy"' + tail)
    assert net.accuracy == "accuracy"
    assert set(net.outputs) == {"accuracy", "five", "loss"}


def test_layers_that_are_tested_alone_keep_their_fillers(tmp_path: Path) -> None:
    extra = (
        'layer { name: "own" type: "InnerProduct" bottom: "fc" top: "own" include { phase: TEST }'
        ' inner_product_param { num_output: 1 bias_filler { type: "constant" value: 2 } } }'
        'layer { name: "sum" type: "Reduction" bottom: "own" top: "sum" include { phase: TEST }'
        " reduction_param { operation: MEAN } }"
    )
    _, net = solver_and_test(tmp_path, NET + extra)
    scores = net.score(image_test(net, validation(tmp_path / "val")), Alone(), lambda: False)
    assert scores is not None
    assert scores["sum"] == 2.0  # weight 0, bias 2


def test_shapes_must_agree(tmp_path: Path) -> None:
    solver, _ = solver_and_test(tmp_path)
    (tmp_path / "other").mkdir()
    other = NET.replace("num_output: 6", "num_output: 5")
    definition = read_definition(write_solver(tmp_path / "other", other, **TESTED))
    with pytest.raises(WeightsError, match=r"Cannot share param conv:0: .*\(5, 3, 3, 3\).*\(6, 3, 3, 3\)"):
        TestNet(solver, definition.test_messages()[0])


def test_compute_loss(tmp_path: Path) -> None:
    definition = read_definition(write_solver(tmp_path, **TESTED, test_compute_loss="true"))
    solver = Solver(definition, threads=1)
    net = TestNet(solver, definition.test_messages()[0])
    scores = net.score(image_test(net, validation(tmp_path / "val")), Alone(), lambda: False)
    assert scores is not None
    assert scores["loss:total"] == scores["loss"]

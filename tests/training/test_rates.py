"""Learning-rate policies, beyond what the golden trajectories show."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggrepro.caffe.text import parse_solver
from vggrepro.errors import SolverError
from vggrepro.training.rates import PLATEAU_DROPS, learning_rate, next_step, plateau_drops


def test_plateau_divides_by_ten_per_drop() -> None:
    param = parse_solver('base_lr: 0.01 lr_policy: "plateau" gamma: 0.1')
    rates = [learning_rate(param, 7, step) for step in range(4)]
    assert rates == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5], rel=1e-6)


def test_plateau_drops_after_patience_tests_without_a_better_accuracy() -> None:
    assert plateau_drops([0.1, 0.2, 0.3], 1) == 0
    assert plateau_drops([0.1, 0.2, 0.2], 1) == 1  # equal is not better
    assert plateau_drops([0.1, 0.3, 0.2, 0.25], 2) == 1
    assert plateau_drops([0.1, 0.3, 0.2, 0.31, 0.2], 2) == 0  # counted anew after a better one
    assert plateau_drops([0.3, 0.2, 0.2, 0.2, 0.2], 2) == 2  # counted anew after a drop
    assert plateau_drops([0.3] + [0.2] * 50, 2) == 3  # three times in all


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(1, 5))
def test_drops_never_shrink_as_accuracies_come(accuracies: list[float], patience: int) -> None:
    drops = [plateau_drops(accuracies[:n], patience) for n in range(len(accuracies) + 1)]
    assert all(0 <= b - a <= 1 for a, b in pairwise(drops))
    assert drops[-1] <= min(PLATEAU_DROPS, len(accuracies) // patience)


def test_multistep_goes_one_step_at_a_time() -> None:
    param = parse_solver('base_lr: 1 lr_policy: "multistep" gamma: 0.5 stepvalue: 5 stepvalue: 5')
    assert next_step(param, 4, 0) == 0
    assert next_step(param, 5, 0) == 1
    assert next_step(param, 5, 1) == 2
    assert next_step(param, 9, 2) == 2


def test_step_counts_by_time() -> None:
    """What Caffe's snapshots tell as current_step."""
    param = parse_solver('base_lr: 1 lr_policy: "step" gamma: 0.5 stepsize: 12')
    assert [next_step(param, iteration, 0) for iteration in (0, 11, 12, 24, 49)] == [0, 0, 1, 2, 4]


def test_sigmoid_far_from_its_step_is_zero_without_a_warning() -> None:
    param = parse_solver('base_lr: 1 lr_policy: "sigmoid" gamma: 1.02 stepsize: 100')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learning_rate(param, 0, 0) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("policy", ["step", "exp", "multistep"])
def test_a_rate_that_grows_without_bound_is_infinite(policy: str) -> None:
    param = parse_solver(f'base_lr: 1 lr_policy: "{policy}" gamma: 1e38 stepsize: 1')
    assert learning_rate(param, 900, 900) == np.inf


@pytest.mark.parametrize("policy", ["step", "exp", "inv", "multistep", "sigmoid"])
def test_negative_gamma_is_refused(policy: str) -> None:
    param = parse_solver(f'base_lr: 1 lr_policy: "{policy}" gamma: -0.5 stepsize: 2')
    with pytest.raises(SolverError, match=f"'{policy}' needs gamma >= 0, got -0.5"):
        learning_rate(param, 3, 0)


def test_the_rate_warms_up_in_a_straight_line() -> None:
    """Intel Caffe: from warmup_start_lr to base_lr; the steps of multistep count from then on."""
    written = 'base_lr: 1.6 lr_policy: "multistep" gamma: 0.1 stepvalue: 2 stepvalue: 9'
    param = parse_solver(f"{written} warmup_iter: 4 warmup_start_lr: 0.4")
    assert [learning_rate(param, t, 0) for t in range(5)] == pytest.approx([0.4, 0.7, 1.0, 1.3, 1.6])
    assert [next_step(param, t, 0) for t in range(5)] == [0, 0, 0, 0, 1]
    assert learning_rate(param, 4, 1) == pytest.approx(0.16)


def test_multifixed_has_a_rate_for_each_stage() -> None:
    """Intel Caffe: a stage's last iteration belongs to it, and the last rate stays."""
    param = parse_solver(
        'lr_policy: "multifixed" stagelr: 0.5 stagelr: 0.25 stagelr: 0.125'
        " stageiter: 2 stageiter: 4 stageiter: 6"
    )
    rates = [learning_rate(param, t, 0) for t in range(9)]
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    for stages in ("", "stagelr: 1", "stagelr: 1 stageiter: 2 stageiter: 3"):
        with pytest.raises(SolverError, match="needs a stagelr for each stageiter, got"):
            learning_rate(parse_solver(f'lr_policy: "multifixed" {stages}'), 0, 0)


def test_missing_parameters_are_named() -> None:
    with pytest.raises(SolverError, match="needs stepsize > 0, got 0"):
        learning_rate(parse_solver('base_lr: 1 lr_policy: "step" gamma: 0.5'), 3, 0)
    with pytest.raises(SolverError, match="'sigmoid' needs stepsize > 0, got 0"):
        learning_rate(parse_solver('base_lr: 1 lr_policy: "sigmoid" gamma: 0.5'), 3, 0)
    with pytest.raises(SolverError, match="'poly' needs max_iter > 0"):
        learning_rate(parse_solver('base_lr: 1 lr_policy: "poly" power: 2'), 3, 0)

"""Learning-rate policies: pure functions of the iteration (Caffe's ``GetLearningRate``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vggrepro.errors import SolverError

POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid", "plateau", "multifixed")

DECAYING = ("step", "exp", "inv", "multistep", "sigmoid")
"""Those in which Caffe checks gamma."""


def learning_rate(param: Any, iteration: int, current_step: int) -> float:
    """The rate of the coming iteration. ``param`` is a ``SolverParameter``; ``current_step`` counts
    the drops so far of ``multistep`` and ``plateau`` (see :func:`next_step`, :func:`plateau_drops`).

    Rounded to float32 where Caffe rounds: near the end of ``poly`` that shows in the sixth digit. Raises
    SolverError for an unknown policy, a missing parameter or a negative gamma.
    """
    if param.lr_policy in DECAYING and param.gamma < 0:
        raise SolverError(f"lr_policy {param.lr_policy!r} needs gamma >= 0, got {param.gamma:g}")
    with np.errstate(all="ignore"):  # as in C++: a sigmoid's exp may be infinite, and the rate is then zero
        return float(np.float32(_rate(param, iteration, current_step)))


def _rate(param: Any, iteration: int, current_step: int) -> Any:
    base, gamma, power = (np.float32(getattr(param, name)) for name in ("base_lr", "gamma", "power"))
    policy, one, t = param.lr_policy, np.float32(1), np.float32(iteration)
    wide_gamma = np.float64(gamma)
    if _warms_up(param, iteration):
        warm, start = np.float32(param.warmup_iter), np.float32(param.warmup_start_lr)
        return (t * base + (warm - t) * start) / warm
    if policy == "fixed":
        return base
    if policy == "step":
        return float(base) * wide_gamma ** next_step(param, iteration, current_step)
    if policy == "exp":
        return float(base) * wide_gamma**iteration
    if policy == "inv":
        return base * (one + gamma * t) ** -power
    if policy in ("multistep", "plateau"):
        return float(base) * wide_gamma**current_step
    if policy == "poly":
        return base * (one - t / np.float32(_positive(param, "max_iter"))) ** power
    if policy == "sigmoid":
        return base * (one / (one + np.exp(-gamma * (t - np.float32(_positive(param, "stepsize"))))))
    if policy == "multifixed":
        return _stage_rate(param, iteration)
    raise SolverError(f"Unknown learning rate policy: {policy}; known are {', '.join(POLICIES)}")


def _warms_up(param: Any, iteration: int) -> bool:
    """Whether the rate still grows to ``base_lr`` (Intel Caffe)."""
    return iteration < int(param.warmup_iter)


def _stage_rate(param: Any, iteration: int) -> float:
    """Intel Caffe: the rate of the first stage that ends at ``iteration`` or later; behind all, the last."""
    rates, ends = list(param.stagelr), list(param.stageiter)
    if not len(rates) == len(ends) > 0:
        raise SolverError(
            "lr_policy 'multifixed' needs a stagelr for each stageiter,"
            f" got {len(rates)} stagelr and {len(ends)} stageiter"
        )
    return float(next((rate for rate, end in zip(rates, ends, strict=True) if iteration <= end), rates[-1]))


def _positive(param: Any, name: str) -> int:
    value = int(getattr(param, name))
    if value < 1:
        raise SolverError(f"lr_policy {param.lr_policy!r} needs {name} > 0, got {value}")
    return value


def next_step(param: Any, iteration: int, current_step: int) -> int:
    """How many drops of the rate there have been, as Caffe counts them at every ``iteration``.

    ``step`` counts by time. ``multistep`` goes one step further once ``iteration`` has reached the next
    stepvalue, at most one at a time: ask once an iteration. The steps of ``plateau`` are taken by the
    training loop. The other policies count none, and none counts while the rate warms up. Raises SolverError
    for ``step`` without a stepsize.
    """
    if _warms_up(param, iteration):
        return current_step
    if param.lr_policy == "step":
        return iteration // _positive(param, "stepsize")
    if param.lr_policy == "multistep" and current_step < len(param.stepvalue):
        return current_step + int(iteration >= param.stepvalue[current_step])
    return current_step


PLATEAU_DROPS = 3
"""Section 3.1: the rate is decreased three times in all."""


def plateau_drops(accuracies: Sequence[float], patience: int) -> int:
    """The paper's policy: how often the rate has been divided by 10 (multiplied by ``gamma``) after these
    validation accuracies, which are all so far, in order.

    A drop follows when ``patience`` accuracies in a row have not exceeded the best one before them; they
    are counted anew after each drop, and there are three drops at most.
    """
    best, idle, drops = -np.inf, 0, 0
    for accuracy in accuracies:
        idle = 0 if accuracy > best else idle + 1
        best = max(best, accuracy)
        if idle == patience and drops < PLATEAU_DROPS:
            drops, idle = drops + 1, 0
    return drops

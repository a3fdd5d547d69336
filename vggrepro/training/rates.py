"""Learning-rate policies: pure functions of the iteration (Caffe's ``GetLearningRate``)."""

from __future__ import annotations

import math
from typing import Any

from vggrepro.errors import SolverError

POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid", "plateau")


def learning_rate(param: Any, iteration: int, current_step: int) -> float:
    """The rate of the coming iteration. ``param`` is a ``SolverParameter``; ``current_step`` counts
    the drops so far of ``multistep`` and ``plateau`` (see :func:`next_step`). Raises SolverError
    for an unknown policy or a missing parameter."""
    base, policy = param.base_lr, param.lr_policy
    if policy == "fixed":
        return float(base)
    if policy == "step":
        return float(base * param.gamma ** (iteration // _positive(param, "stepsize")))
    if policy == "exp":
        return float(base * param.gamma**iteration)
    if policy == "inv":
        return float(base * (1 + param.gamma * iteration) ** -param.power)
    if policy in ("multistep", "plateau"):
        return float(base * param.gamma**current_step)
    if policy == "poly":
        return float(base * (1 - iteration / _positive(param, "max_iter")) ** param.power)
    if policy == "sigmoid":
        return float(base / (1 + math.exp(-param.gamma * (iteration - param.stepsize))))
    raise SolverError(f"Unknown learning rate policy: {policy!r}; known are {', '.join(POLICIES)}")


def _positive(param: Any, name: str) -> int:
    value = int(getattr(param, name))
    if value < 1:
        raise SolverError(f"lr_policy {param.lr_policy!r} needs {name} > 0, got {value}")
    return value


def next_step(param: Any, iteration: int, current_step: int) -> int:
    """Caffe's ``multistep``: one step further once ``iteration`` has reached the next stepvalue, at
    most one at a time. The steps of ``plateau`` are taken by the training loop, not by time."""
    if param.lr_policy == "multistep" and current_step < len(param.stepvalue):
        return current_step + (iteration >= param.stepvalue[current_step])
    return current_step


PLATEAU_DROPS = 3
"""Section 3.1: the rate is decreased three times in all."""


def plateau_step(param: Any, accuracies: list[float], current_step: int, patience: int = 1) -> bool:
    """The paper's policy: whether to divide the rate by 10 (multiply by ``gamma``) now.

    True if the last ``patience`` validation accuracies since the last drop did not exceed the best
    before them, and fewer than three drops were made. ``accuracies`` are those since the last drop,
    with the best of all earlier ones in front.
    """
    if param.lr_policy != "plateau" or current_step >= PLATEAU_DROPS or len(accuracies) <= patience:
        return False
    return max(accuracies[-patience:]) <= max(accuracies[:-patience])

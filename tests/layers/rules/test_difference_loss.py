"""Losses of differences: blobs of other shapes, and what the sum is divided by."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse


def test_divisors_and_shapes() -> None:
    a, b = np.full((2, 3, 1), 3, np.float32), np.zeros((2, 3), np.float32)
    (mean,) = check_forward(parse('type: "HuberLoss" huber_loss_param { delta: 1 }'), [a, b])
    assert mean == pytest.approx(2.5)
    (total,) = check_forward(parse('type: "WingLoss" wing_loss_param { w: 1 epsilon: 1 }'), [a, b])
    assert total == pytest.approx(3 * (3 - 1 + np.log(2)))

"""Bias: its parameters, and what folding makes of it."""

from __future__ import annotations

import numpy as np
from harness import check_forward, parse


def test_by_hand() -> None:
    (y,) = check_forward(
        parse('type: "Bias"'), [np.ones((1, 2, 1), np.float32)], [np.array([5, 7], np.float32)]
    )
    assert y.reshape(-1).tolist() == [6, 8]


def test_affine_has_the_factor_1() -> None:
    layer = parse('type: "Bias"')
    affine = layer.affine([np.array([5, 7], np.float32)], 4, 1)
    assert affine is not None
    factor, shift = affine
    assert factor == 1 and np.asarray(shift).tolist() == [5, 7]
    assert layer.affine([], 4, 1) is None
    assert layer.affine([np.ones(2)], 4, 3) is None

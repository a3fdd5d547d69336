"""Angles that count several times: both layers where every angle is known."""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient

ANGLES = np.linspace(0.05, pi - 0.05, 12)
PLANE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)


@pytest.mark.parametrize("kind", ["DOUBLE", "TRIPLE", "QUADRUPLE"])
@pytest.mark.parametrize(("name", "length"), [("margin_inner_product", 1), ("largemargin_inner_product", 3)])
def test_it_falls_with_the_angle(kind: str, name: str, length: float) -> None:
    """Without lambda: from 1 to ``1 - 2 m`` times both lengths."""
    layer_type = {"m": "MarginInnerProduct", "l": "LargeMarginInnerProduct"}[name[0]]
    layer = parse(
        f'type: "{layer_type}" top: "y" top: "lambda" {name}_param {{ num_output: 1 type: {kind} base: 0 }}'
    )
    labels, weight = np.zeros(len(PLANE), np.float32), np.float32([[3, 0]])
    top, _ = check_forward(layer, [2 * PLANE, labels], [weight], [np.array(0)], atol=1e-4)
    multiple = {"DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}[kind]
    folds = (ANGLES * multiple // pi).astype(int)
    psi = np.array([(-1) ** k * cos(multiple * a) - 2 * k for a, k in zip(ANGLES, folds, strict=True)])
    np.testing.assert_allclose(top[:, 0], 2 * length * psi, rtol=1e-4, atol=1e-4)
    assert (np.diff(psi) <= 0).all()


def test_the_gradient_of_a_right_angle() -> None:
    """psi is ``2 cos(a) |cos(a)| - 1``, whose slope ``-4 |cos(a)| sin(a)`` turns the input by the angle."""
    layer = parse(
        'type: "LargeMarginInnerProduct" top: "y" top: "lambda"'
        " largemargin_inner_product_param { num_output: 1 type: DOUBLE base: 0 }"
    )
    labels, weight = np.zeros(len(PLANE), np.float32), np.float32([[1, 0]])
    dy = np.ones((len(PLANE), 1), np.float32)
    dx = run_gradient(layer, [PLANE, labels], [weight], [dy, None], states=[np.array(0)])[0]
    across = [-sin(a) * x + cos(a) * y for a, (x, y) in zip(ANGLES, dx, strict=True)]
    expected = [-4 * abs(cos(a)) * sin(a) for a in ANGLES]
    np.testing.assert_allclose(across, expected, rtol=1e-4, atol=1e-5)

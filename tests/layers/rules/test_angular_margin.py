"""Angular margins: where angles end, and what both layers make of it."""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient

from vggrepro.caffe.messages import TRAIN

ARCFACE = 'type: "Arcface" arcface_param { m: 0.5 }'
COSIN = 'type: "CosinAddm" cosin_add_m_param { m: 0.5 }'


@pytest.mark.parametrize("text", [ARCFACE, COSIN])
def test_by_formula(text: str) -> None:
    x = np.float32([[-1, 0.9], [-0.95, 0.1], [-0.5, 0.2], [0, 0.3], [0.7, 0.4]])
    (top,) = check_forward(parse(text, TRAIN), [x, np.zeros(5, np.float32)])
    angles = np.arccos(x[:, 0].astype(float))
    expected = [cos(a + 0.5) if a + 0.5 < pi else cos(a) - 0.5 * sin(0.5) for a in angles]
    np.testing.assert_allclose(top[:, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(top[:, 1], x[:, 1])
    (dx,) = run_gradient(
        parse(text, TRAIN), [x, np.zeros(5, np.float32)], [], [np.full((5, 2), 2, np.float32)]
    )[:1]
    slopes = [sin(a + 0.5) / sin(a) if a + 0.5 < pi else 1 for a in angles]
    np.testing.assert_allclose(dx[:, 0], 2 * np.array(slopes), rtol=1e-4)
    np.testing.assert_array_equal(dx[:, 1], 2)


def test_an_angle_of_zero() -> None:
    one = [np.float32([[1]]), np.float32([0])]
    assert check_forward(parse(ARCFACE), one)[0] == pytest.approx(1 - 0.5 * sin(0.5))
    assert check_forward(parse(COSIN, TRAIN), one)[0] == pytest.approx(cos(0.5))
    for text in (ARCFACE, COSIN):
        assert run_gradient(parse(text, TRAIN), one, [], [np.float32([[3]])])[0] == 3

"""Warp: against its reference, the fork's loops and central differences."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import ShapeError

LAYER = parse('type: "Warp"')


def looked(seed: int, n: int, height: int, width: int) -> np.ndarray:
    """Places in and out of a picture of 4x5, none of them a pixel's own, where slopes jump."""
    rng = np.random.default_rng(seed)
    whole = rng.integers(-3, 7, (n, 2, height, width))
    return (whole + rng.choice([0.25, 0.375, 0.625], whole.shape)).astype(np.float32)


def loops(image: np.ndarray, places: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The top, and both gradients."""
    n, _, h, w = image.shape
    top, d_image, d_places = np.zeros(dy.shape), np.zeros(image.shape), np.zeros(places.shape)
    for k, i, j in np.ndindex(n, *places.shape[2:]):
        x, y = (float(p) for p in places[k, :, i, j])
        for row in (floor(y), floor(y) + 1):
            for column in (floor(x), floor(x) + 1):
                if not (0 <= row < h and 0 <= column < w):
                    continue
                wx, wy = 1 - abs(x - column), 1 - abs(y - row)
                pixel, gradient = image[k, :, row, column], dy[k, :, i, j]
                top[k, :, i, j] += wx * wy * pixel
                d_image[k, :, row, column] += wx * wy * gradient
                d_places[k, 0, i, j] += (1 if column > x else -1) * wy * (pixel * gradient).sum()
                d_places[k, 1, i, j] += (1 if row > y else -1) * wx * (pixel * gradient).sum()
    return top, d_image, d_places


@few
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), seeds)
def test_by_the_forks_loops(number: int, channels: int, height: int, width: int, seed: int) -> None:
    image, places = values(seed, (number, channels, 4, 5)), looked(seed, number, height, width)
    dy = values(seed + 1, (number, channels, height, width))
    top, d_image, d_places = loops(image, places, dy)
    (got,) = check_forward(LAYER, [image, places])
    np.testing.assert_allclose(got, top, atol=1e-5)
    gradients = run_gradient(LAYER, [image, places], [], [dy])
    for gradient, expected in zip(gradients, (d_image, d_places), strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_gradient() -> None:
    check_gradient(LAYER, [values(0, (2, 3, 4, 5)), looked(1, 2, 3, 6)])


def test_far_out_there_is_nothing() -> None:
    places = np.float32([1e30, -1e30, 5.5, -1.5]).reshape(1, 2, 1, 2)
    image = values(0, (1, 2, 4, 5))
    (top,) = check_forward(LAYER, [image, places])
    assert not top.any()
    gradients = run_gradient(LAYER, [image, places], [], [np.ones((1, 2, 1, 2), np.float32)])
    assert not any(gradient.any() for gradient in gradients if gradient is not None)


def test_shapes() -> None:
    assert LAYER.out_shapes([(2, 3, 4, 5), (2, 2, 6, 7)]) == ((2, 3, 6, 7),)
    for places in ((2, 3, 4, 5), (1, 2, 4, 5), (2, 2, 4)):
        with pytest.raises(ShapeError, match=r"places \(N, 2, H', W'\)"):
            LAYER.out_shapes([(2, 3, 4, 5), places])

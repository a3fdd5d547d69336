"""Downsample: against its reference and the fork's loop."""

from __future__ import annotations

from math import ceil, floor, isnan, nan

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Layer


def downsample(text: str = "") -> Layer:
    return parse(f'type: "Downsample" downsample_param {{ {text} }}')


def loop(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """One value after another, over a window around where it comes from."""
    n, c, h, w = x.shape
    down, across = (h - 1) / (height - 1), (w - 1) / (width - 1)
    top = np.zeros((n, c, height, width))
    for k, m, i, j in np.ndindex(top.shape):
        at_y, at_x = i / (height - 1) * (h - 1), j / (width - 1) * (w - 1)
        total = weights = missing = 0.0
        for row in range(floor(at_y) - ceil(down), floor(at_y) + ceil(down) + 2):
            for column in range(floor(at_x) - ceil(across), floor(at_x) + ceil(across) + 2):
                if not (0 <= row < h and 0 <= column < w):
                    continue
                nearness = max(0, 1 - abs(column - at_x) / across) * max(0, 1 - abs(row - at_y) / down)
                value = float(x[k, m, row, column])
                if isnan(value):
                    missing += nearness
                else:
                    total, weights = total + value * nearness, weights + nearness
        top[k, m, i, j] = nan if missing > 0.5 * weights else total / weights
    return top


@few
@given(st.integers(2, 7), st.integers(2, 8), st.floats(0, 0.5), st.data(), seeds)
def test_by_the_forks_loop(h: int, w: int, share: float, data: st.DataObject, seed: int) -> None:
    height, width = data.draw(st.integers(2, h)), data.draw(st.integers(2, w))
    x = values(seed, (2, 2, h, w))
    x[np.random.default_rng(seed).random(x.shape) < share] = nan
    like = np.zeros((1, 3, height, width), np.float32)
    expected = x if (height, width) == (h, w) else loop(x, height, width)
    by_number = downsample(f"top_height: {height} top_width: {width}")
    for layer, bottoms in ((downsample(), [x, like]), (by_number, [x])):
        (top,) = layer.reference([b.astype(float) for b in bottoms], [], []).tops
        np.testing.assert_allclose(top, expected, rtol=1e-5, atol=1e-6)
        if not np.isnan(x).any():
            check_forward(layer, bottoms)


def test_what_is_missing_in_the_graph() -> None:
    x = np.float32([[1, nan, 3, 4], [nan, nan, 7, 8], [nan, 10, 11, 12]]).reshape(1, 1, 3, 4)
    (top,) = check_forward(downsample("top_height: 2 top_width: 2"), [x])
    np.testing.assert_allclose(top, loop(x, 2, 2), rtol=1e-5)
    assert 0 < np.isnan(top).sum() < top.size


def test_shapes() -> None:
    assert downsample().out_shapes([(2, 3, 6, 7), (1, 9, 3, 7)]) == ((2, 3, 3, 7),)
    assert not downsample().has_gradient
    for wanted in (1, 0, 8):
        with pytest.raises(ShapeError, match=rf"top width of {wanted} from 7; expected 2 to 7"):
            downsample(f"top_height: 3 top_width: {wanted}").out_shapes([(2, 3, 6, 7)])
    with pytest.raises(ShapeError, match="4 axes"):
        downsample().out_shapes([(2, 3), (2, 3)])

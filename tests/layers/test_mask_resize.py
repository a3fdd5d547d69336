"""MaskResize: against its reference, and the loops of MNC's layer forward and backward."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

MNC = "factor_height: 0"


def resize(text: str) -> Layer:
    return parse(f'type: "MaskResize" mask_resize_param {{ {text} }}')


def share(at: float, place: int, size: int) -> float:
    """What a place of an axis adds to an element at ``at``."""
    if at > size - 0.5:
        return 0
    low = min(int(at), size - 1)
    if low == size - 1:
        return float(place == low)
    return {low: low + 1 - at, low + 1: at - low}.get(place, 0)


def loops(x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The layer's loops, for one plane."""
    (height, width), (rows, columns) = x.shape, dy.shape
    down, across = height / rows, width / columns
    top, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for (i, j), (h, w) in ((a, b) for a in np.ndindex(dy.shape) for b in np.ndindex(x.shape)):
        part = share(i * down, h, height) * share(j * across, w, width)
        top[i, j] += part * x[h, w]
        if i - floor(h / down) in (0, 1) and j - floor(w / across) in (0, 1):
            dx[h, w] += part * dy[i, j]
    return top, dx


@few
@given(*[st.sampled_from([1, 2, 4, 5, 8])] * 4, seeds)
def test_by_loops(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    """Sizes whose ratios are exact in float32, or not at a bound."""
    layer = resize(f"output_height: {rows} output_width: {columns} {MNC}")
    x, dy = values(seed, (2, 1, height, width)), values(seed + 1, (2, 1, rows, columns))
    (top,) = check_forward(layer, [x], dims=[(None, None, height, width)])
    dx = run_gradient(layer, [x], [], [dy])[0]
    for n in range(2):
        expected = loops(x[n, 0].astype(float), dy[n, 0].astype(float))
        np.testing.assert_allclose(top[n, 0], expected[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dx[n, 0], expected[1], rtol=1e-4, atol=1e-5)


def test_where_nothing_grows_the_gradient_is_calculus() -> None:
    layer = resize(f"output_height: 14 output_width: 3 {MNC}")
    check_gradient(layer, [values(0, (1, 2, 21, 5))])


def test_factors_replace_sizes() -> None:
    layer = resize("output_height: 1 output_width: 7 factor_height: 0.0625")
    assert layer.out_shapes([(2, 3, 40, 40)]) == ((2, 3, 2, 7),)
    with pytest.raises(ShapeError, match="leave nothing"):
        layer.out_shapes([(2, 3, 15, 40)])
    with pytest.raises(ShapeError, match=r"must be \(N, C, H, W\)"):
        layer.out_shapes([(2, 3, 15)])


def test_refuses() -> None:
    with pytest.raises(NetError, match="must be above 0"):
        resize("output_height: 2 factor_height: 1")
    with pytest.raises(UnsupportedError, match="name the fork: mnc"):
        resize("output_height: 2 output_width: 2")

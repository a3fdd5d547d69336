"""GSTiling: against its reference, the fork's loops and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError


def by_loops(x: np.ndarray, stride: int) -> np.ndarray:
    """Blocks to channels."""
    number, channels, height, width = x.shape
    top = np.full((number, channels * stride**2, height // stride, width // stride), np.nan)
    for n, c, i, j in np.ndindex(x.shape):
        channel = (i % stride * stride + j % stride) * channels + c
        top[n, channel, i // stride, j // stride] = x[n, c, i, j]
    return top


@few
@given(*[st.integers(1, 3)] * 5, st.booleans(), seeds)
def test_both_ways(n: int, c: int, h: int, w: int, stride: int, free: bool, seed: int) -> None:
    x = values(seed, (n, c, h * stride, w * stride))
    dims = [(None if free else n, *x.shape[1:])]
    layer = parse(f'type: "GSTiling" gs_tiling_param {{ stride: {stride} }}')
    (top,) = check_forward(layer, [x], dims=dims)
    np.testing.assert_array_equal(top, by_loops(x, stride))
    check_gradient(layer, [x])
    layer = parse(f'type: "GSTiling" gs_tiling_param {{ stride: {stride} reverse: true }}')
    (back,) = check_forward(layer, [top], dims=[(None if free else n, *top.shape[1:])])
    np.testing.assert_array_equal(back, x)
    check_gradient(layer, [top])


def test_refuses() -> None:
    with pytest.raises(NetError, match="stride must be given"):
        parse('type: "GSTiling"')
    with pytest.raises(ShapeError, match="height and width multiples of 2"):
        parse('type: "GSTiling" gs_tiling_param { stride: 2 }').out_shapes([(1, 4, 4, 3)])
    for channels in (6, 5, 2):
        with pytest.raises(ShapeError, match="channels a multiple of 4"):
            parse('type: "GSTiling" gs_tiling_param { stride: 2 reverse: true }').out_shapes(
                [(1, channels, 2, 2)]
            )
    with pytest.raises(ShapeError, match=r"must be \(N, C, H, W\)"):
        parse('type: "GSTiling" gs_tiling_param { stride: 2 }').out_shapes([(1, 4, 4)])

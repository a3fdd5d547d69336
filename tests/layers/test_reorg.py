"""Reorg: against its reference, darknet's index arithmetic, and itself in reverse."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def reorg(stride: int, reverse: bool = False) -> Layer:
    return parse(
        f'type: "Reorg" reorg_param {{ stride: {stride} reverse: {"true" if reverse else "false"} }}'
    )


def darknet(x: np.ndarray, stride: int, forward: bool) -> np.ndarray:
    """Index by index as darknet's ``reorg_cpu``; ``forward`` is its word for what Caffe's forks call
    reverse."""
    _, channels, height, width = x.shape
    inner = channels // stride**2
    source, target = x.reshape(-1), np.zeros(x.size, x.dtype)
    for b, k, j, i in np.ndindex(x.shape):
        here = i + width * (j + height * (k + channels * b))
        offset = k // inner
        column, row = i * stride + offset % stride, j * stride + offset // stride
        there = column + width * stride * (row + height * stride * (k % inner + inner * b))
        if forward:
            target[there] = source[here]
        else:
            target[here] = source[there]
    return target


@few
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_forward(stride: int, size: tuple[int, ...], reverse: bool, free: bool, seed: int) -> None:
    n, c, h, w = size
    factor = 1 if reverse else stride
    x = values(seed, (n, c * stride**2, h * factor, w * factor))
    layer = reorg(stride, reverse)
    (top,) = check_forward(layer, [x], dims=[(None, *x.shape[1:]) if free else x.shape])
    np.testing.assert_array_equal(top.reshape(-1), darknet(x, stride, forward=reverse))


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient(reverse: bool) -> None:
    check_gradient(reorg(2, reverse), [values(0, (2, 8, 2, 4))])


def test_refuses() -> None:
    with pytest.raises(NetError, match="Reorg Layer needs stride"):
        parse('type: "Reorg"')
    with pytest.raises(NetError, match="stride must be above 0"):
        reorg(0)
    assert reorg(2).out_shapes([(1, 64, 26, 26)]) == ((1, 256, 13, 13),)
    assert reorg(2, True).out_shapes([(1, 64, 13, 13)]) == ((1, 16, 26, 26),)
    for shape in ((1, 64, 13, 26), (1, 63, 26, 26), (1, 64, 26)):
        with pytest.raises(ShapeError, match="C divisible by 4"):
            reorg(2).out_shapes([shape])

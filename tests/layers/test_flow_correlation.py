"""Correlation, Correlation1D: against their references, central differences and FlowNet's loops."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shape_cases import freed, seeds, values

from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

few = settings(max_examples=20, deadline=None)


def correlation(text: str) -> Layer:
    return parse(f'type: "Correlation" correlation_param {{ {text} }}')


def along_rows(text: str) -> Layer:
    return parse(f'type: "Correlation1D" correlation_param {{ {text} }}')


def loops(
    a: np.ndarray, b: np.ndarray, kernel: int, most: int, pad: int, stride: int, step: int, subtracts: bool
) -> np.ndarray:
    """Place by place, with centres of windows, as FlowNet's kernel for differences writes it."""
    a, b = (np.pad(x.astype(float), ((0, 0), (0, 0), (pad, pad), (pad, pad))) for x in (a, b))
    radius, grid = (kernel - 1) // 2, most // step
    wide = 2 * grid + 1
    size = [int(np.ceil((s - 2 * (most + radius)) / stride)) for s in a.shape[2:]]
    top = np.zeros((len(a), wide**2, *size))
    for n, c, y, x in np.ndindex(*top.shape):
        dx, dy = (c % wide - grid) * step, (c // wide - grid) * step
        y1, x1 = y * stride + radius + most, x * stride + radius + most
        total = 0.0
        for j in range(-radius, radius + 1):
            for i in range(-radius, radius + 1):
                for channel in range(a.shape[1]):
                    one = a[n, channel, y1 + j, x1 + i]
                    other = b[n, channel, y1 + dy + j, x1 + dx + i]
                    total += abs(one - other) if subtracts else one * other
        top[n, c, y, x] = total / (kernel**2 * a.shape[1])
    return top


@few
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(3, 7), st.integers(3, 7)),
    st.sampled_from([1, 3]),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.booleans(),
    seeds,
    st.data(),
)
def test_correlation(
    shape: tuple[int, ...],
    kernel: int,
    most: int,
    pad: int,
    stride: int,
    step: int,
    subtracts: bool,
    seed: int,
    data: st.DataObject,
) -> None:
    assume(min(shape[2:]) + 2 * pad > 2 * most + kernel - 1)
    kind = "SUBTRACT" if subtracts else "MULTIPLY"
    layer = correlation(
        f"kernel_size: {kernel} max_displacement: {most} pad: {pad} stride_1: {stride} stride_2: {step}"
        f" correlation_type: {kind}"
    )
    bottoms = [values(seed, shape), values(seed + 1, shape)]
    dims = [data.draw(freed(shape))] * 2
    (top,) = check_forward(layer, bottoms, dims=dims)
    expected = loops(*bottoms, kernel, most, pad, stride, step, subtracts)
    np.testing.assert_allclose(top, expected, rtol=1e-4, atol=1e-6)
    if not subtracts:
        check_gradient(layer, bottoms, most=40)


def rows(a: np.ndarray, b: np.ndarray, most: int, pad: int, stride: int, step: int, way: int) -> np.ndarray:
    """Column by column along the rows, for a kernel of 1, as the kernel of Correlation1D writes it. Each row
    stands behind the one above, as in memory."""
    a, b = (np.pad(x.astype(float), ((0, 0), (0, 0), (0, 0), (pad, pad))) for x in (a, b))
    number, channels, height, width = a.shape
    grid = most // step
    shift, wide = {-1: (-grid - 1, grid + 1), 0: (-grid, 2 * grid + 1), 1: (0, grid + 1)}[way]
    flat_a, flat_b = (x.transpose(0, 2, 3, 1).reshape(-1, channels) for x in (a, b))
    flat_b = np.concatenate([flat_b, np.zeros((step, channels))])  # what index -1 and below reads
    top = np.zeros((number, wide, -(-height // stride), int(np.ceil((width - 2 * most) / stride))))
    for n, c, y, x in np.ndindex(*top.shape):
        place = (n * height + y * stride) * width + x * stride + most
        top[n, c, y, x] = (flat_a[place] * flat_b[place + (c + shift) * step]).mean()
    return top


@few
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(3, 7)),
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(1, 2),
    st.integers(1, 3),
    st.sampled_from([-1, 0, 1]),
    seeds,
)
def test_correlation_along_rows(
    shape: tuple[int, ...], most: int, pad: int, stride: int, step: int, way: int, seed: int
) -> None:
    assume(shape[3] + 2 * pad > 2 * most)
    assume(way != -1 or pad >= step)
    layer = along_rows(
        f"kernel_size: 1 max_displacement: {most} pad: {pad} stride_1: {stride} stride_2: {step}"
        f" single_direction: {way}"
    )
    bottoms = [values(seed, shape), values(seed + 1, shape)]
    (top,) = check_forward(layer, bottoms)
    np.testing.assert_allclose(top, rows(*bottoms, most, pad, stride, step, way), rtol=1e-4, atol=1e-6)
    check_gradient(layer, bottoms, most=40)


def test_windows_along_rows() -> None:
    """With a kernel of 3: the channels of Correlation without a displacement across the rows."""
    text = "kernel_size: 3 max_displacement: 2 pad: 2"
    layer = along_rows(text)
    bottoms = [values(seed, (2, 3, 5, 6)) for seed in (1, 2)]
    (top,) = check_forward(layer, bottoms)
    check_gradient(layer, bottoms, most=40)
    (both,) = check_forward(correlation(text), bottoms)
    level = both.reshape(2, 5, 5, *both.shape[2:])[:, 2]  # 2 rows of padding stand for the inset of 2 rows
    np.testing.assert_allclose(top, level, rtol=1e-5, atol=1e-6)


def test_dispnets_shape() -> None:
    layer = along_rows(
        "pad: 40 kernel_size: 1 max_displacement: 40 stride_1: 1 stride_2: 1 single_direction: -1"
    )
    assert layer.out_shapes([(1, 128, 96, 192)] * 2) == ((1, 41, 96, 192),)


def test_flownets_shape() -> None:
    layer = correlation("pad: 20 kernel_size: 1 max_displacement: 20 stride_1: 1 stride_2: 2")
    assert layer.out_shapes([(1, 256, 48, 64)] * 2) == ((1, 441, 48, 64),)


def test_refuses() -> None:
    with pytest.raises(NetError, match="kernel_size and max_displacement are required"):
        correlation("kernel_size: 1")
    with pytest.raises(NetError, match="Odd kernel size required"):
        correlation("kernel_size: 2 max_displacement: 1")
    with pytest.raises(NetError, match="stride_1 and stride_2 must be positive"):
        correlation("kernel_size: 1 max_displacement: 1 stride_2: 0")
    with pytest.raises(UnsupportedError, match="do_abs is not implemented"):
        correlation("kernel_size: 1 max_displacement: 1 do_abs: true")
    with pytest.raises(UnsupportedError, match="single_direction is implemented for Correlation1D alone"):
        correlation("kernel_size: 1 max_displacement: 1 single_direction: 1")
    with pytest.raises(NetError, match="single_direction must be -1"):
        along_rows("kernel_size: 1 max_displacement: 1 single_direction: 2")
    with pytest.raises(UnsupportedError, match="looks 1 column"):
        along_rows("kernel_size: 1 max_displacement: 1 single_direction: -1")
    layer = correlation("kernel_size: 1 max_displacement: 2 correlation_type: SUBTRACT")
    with pytest.raises(ShapeError, match="don't fit in blob"):
        layer.out_shapes([(1, 2, 4, 9)] * 2)
    with pytest.raises(ShapeError, match="the same shape"):
        layer.out_shapes([(1, 2, 9, 9), (1, 3, 9, 9)])
    bottoms = [values(seed, (1, 2, 5, 5)) for seed in (1, 2)]
    with pytest.raises(GradientError, match="no gradient with SUBTRACT"):
        run_gradient(layer, bottoms, (), [values(3, (1, 25, 1, 1))])

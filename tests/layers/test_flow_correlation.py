"""Correlation: against its reference, central differences and FlowNet's loops."""

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
    with pytest.raises(UnsupportedError, match="do_abs and single_direction"):
        correlation("kernel_size: 1 max_displacement: 1 single_direction: 1")
    layer = correlation("kernel_size: 1 max_displacement: 2 correlation_type: SUBTRACT")
    with pytest.raises(ShapeError, match="don't fit in blob"):
        layer.out_shapes([(1, 2, 4, 9)] * 2)
    with pytest.raises(ShapeError, match="the same shape"):
        layer.out_shapes([(1, 2, 9, 9), (1, 3, 9, 9)])
    bottoms = [values(seed, (1, 2, 5, 5)) for seed in (1, 2)]
    with pytest.raises(GradientError, match="no gradient with SUBTRACT"):
        run_gradient(layer, bottoms, (), [values(3, (1, 25, 1, 1))])

"""DeformableConvolution: against its reference, the paper's sum, Convolution and central differences."""

from __future__ import annotations

from itertools import product
from math import floor

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer

WINDOW = "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 1 dilation: 2"


def deformable(text: str, more: str = "") -> Layer:
    return parse(f'type: "DeformableConvolution" deformable_convolution_param {{ {text} }} {more}')


def plain(text: str) -> Layer:
    return parse(f'type: "Convolution" convolution_param {{ {text} }}')


def between(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Offsets that end between places, where slopes do not jump."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-4, 4, shape) + rng.choice([0.25, 0.375, 0.625], shape)).astype(np.float32)


def value(image: np.ndarray, row: float, column: float) -> float:
    """Of one channel, by the published kernel: nothing outside, the last row and column go on."""
    h, w = image.shape
    if not (0 <= row < h and 0 <= column < w):
        return 0
    row, column = min(row, h - 1), min(column, w - 1)
    top, left = floor(row), floor(column)
    corners = product((top, min(top + 1, h - 1)), (left, min(left + 1, w - 1)))
    down, right = row - top, column - left
    shares = product((1 - down, down), (1 - right, right))
    return sum(float(image[at]) * a * b for at, (a, b) in zip(corners, shares, strict=True))


def loops(x: np.ndarray, offsets: np.ndarray, weight: np.ndarray, group: int, deformed: int) -> np.ndarray:
    """The sum of WINDOW's windows, without a bias."""
    outputs, each, kh, kw = weight.shape
    n, channels = x.shape[:2]
    top = np.zeros((n, outputs, *offsets.shape[2:]))
    for i, o, y, z, c, a, b in np.ndindex(n, outputs, *offsets.shape[2:], each, kh, kw):
        channel = o // (outputs // group) * each + c
        place = (channel // (channels // deformed) * kh * kw + a * kw + b) * 2
        row = y * 2 - 1 + a * 2 + float(offsets[i, place, y, z])
        column = z - 1 + b * 2 + float(offsets[i, place + 1, y, z])
        top[i, o, y, z] += float(weight[o, c, a, b]) * value(x[i, channel], row, column)
    return top


@few
@given(st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 4), (4, 2)]), seeds, st.booleans())
def test_by_the_sum(groups: tuple[int, int], seed: int, told: bool) -> None:
    group, deformed = groups
    text = f"num_output: 4 group: {group} bias_term: false {WINDOW}"
    layer = deformable(text + f" deformable_group: {deformed}" * told)
    x = values(seed, (2, 4, 5, 6))
    offsets = between(seed, (2, 12 * deformed, *plain(text).out_shapes([x.shape])[0][2:]))
    weight = values(seed + 1, (4, 4 // group, 3, 2))
    (top,) = check_forward(layer, [x, offsets], [weight])
    np.testing.assert_allclose(top, loops(x, offsets, weight, group, deformed), atol=1e-5)


@pytest.mark.parametrize("text", [f"{WINDOW} group: 2", "kernel_size: 3 pad: 1", "kernel_size: 1 stride: 2"])
def test_unmoved_windows_are_a_convolutions(text: str) -> None:
    text += " num_output: 4"
    layer, other = deformable(text), plain(text)
    x = values(3, (2, 4, 6, 5))
    params = [values(4 + i, d.shape) for i, d in enumerate(layer.param_defs([x.shape, ()]))]
    (shape,) = other.out_shapes([x.shape])
    taps = np.prod(params[0].shape[2:])
    offsets = np.zeros((2, 2 * taps, *shape[2:]), np.float32)
    (top,) = check_forward(layer, [x, offsets], params)
    (wanted,) = check_forward(other, [x], params)
    np.testing.assert_allclose(top, wanted, atol=1e-5)
    dy = values(6, shape)
    dx, d_offsets, *d_params = run_gradient(layer, [x, offsets], params, [dy])
    for got, expected in zip([dx, *d_params], run_gradient(other, [x], params, [dy]), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)
    assert d_offsets is not None and d_offsets.any()
    assert layer.macs([x.shape, offsets.shape]) == other.macs([x.shape])


def test_a_place_itself_slopes_towards_the_next_and_the_last_is_flat() -> None:
    layer = deformable("num_output: 1 kernel_size: 1 bias_term: false")
    x = np.float32([[1, 2, 4], [8, 16, 32]]).reshape(1, 1, 2, 3)
    _, slopes = run_gradient(
        layer,
        [x, np.zeros((1, 2, 2, 3), np.float32)],
        [np.ones((1, 1, 1, 1), np.float32)],
        [np.ones((1, 1, 2, 3), np.float32)],
        needed=None,
    )[:2]
    np.testing.assert_array_equal(slopes, [[[[7, 14, 28], [0, 0, 0]], [[1, 2, 0], [8, 16, 0]]]])


@pytest.mark.parametrize("groups", ["", "group: 2 deformable_group: 2", "deformable_group: 4"])
def test_gradients(groups: str) -> None:
    layer = deformable(f"num_output: 4 {groups} {WINDOW}")
    deformed = layer.deformable_group or 1
    x, offsets = values(7, (2, 4, 5, 6)), between(8, (2, 12 * deformed, 2, 6))
    params = [values(9 + i, d.shape) for i, d in enumerate(layer.param_defs([x.shape, offsets.shape]))]
    check_gradient(layer, [x, offsets], params, most=60)


def test_far_out_there_is_nothing() -> None:
    layer = deformable("num_output: 2 kernel_size: 1 bias_term: false")
    x, weight = values(1, (1, 3, 2, 2)), values(2, (2, 3, 1, 1))
    offsets = np.float32([[[1e30, -1e30], [-1.5, 1]], [[1e30, 1e30], [0, -3e38]]])[None]
    (top,) = check_forward(layer, [x, offsets], [weight])
    assert not top.any()
    gradients = run_gradient(layer, [x, offsets], [weight], [np.ones_like(top)])
    assert not any(gradient.any() for gradient in gradients)


def test_refuses() -> None:
    layer = deformable("num_output: 4 kernel_size: 3 pad: 1 deformable_group: 2")
    good = [(2, 4, 5, 6), (2, 36, 5, 6)]
    assert layer.out_shapes(good) == ((2, 4, 5, 6),)
    for offsets in ((2, 18, 5, 6), (1, 36, 5, 6), (2, 36, 5, 5), (2, 72, 5, 6)):
        with pytest.raises(ShapeError, match=r"expected shape \(2, 36, 5, 6\), got"):
            layer.out_shapes([good[0], offsets])
    with pytest.raises(ShapeError, match="5 channels are no multiple of 2 deformable"):
        layer.out_shapes([(2, 5, 5, 6), good[1]])
    with pytest.raises(ShapeError, match="must have 4 axes"):
        layer.out_shapes([(2, 4, 5), good[1]])
    for offsets in ((2, 35, 5, 6), (2, 9, 5, 6)):
        with pytest.raises(ShapeError, match="two offsets for each of 9 places"):
            deformable("num_output: 4 kernel_size: 3 pad: 1").out_shapes([good[0], offsets])
    with pytest.raises(NetError, match="axis must be 1, got 2"):
        deformable("num_output: 4 kernel_size: 3 axis: 2")
    with pytest.raises(NetError, match="deformable_group must be above 0"):
        deformable("num_output: 4 kernel_size: 3 deformable_group: 0")
    with pytest.raises(NetError, match="num_output_ > 0"):
        deformable("kernel_size: 3")

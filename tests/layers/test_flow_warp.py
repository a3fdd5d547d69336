"""FlowWarp: against its reference, and the fork's loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Layer


def layer_of(fill: str = "") -> Layer:
    return parse(f'type: "FlowWarp" flow_warp_param {{ {fill} }}')


def flows(seed: int, n: int, h: int, w: int) -> np.ndarray:
    """To places in and out of the image, none of them near a pixel's own, where slopes jump."""
    rng = np.random.default_rng(seed)
    whole = rng.integers(-2, 3, (n, 2, h, w))
    return (whole + rng.choice([0.25, 0.375, 0.625], whole.shape)).astype(np.float32)


@few
@given(st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 5)] * 2), seeds)
def test_by_the_forks_loop(shape: tuple[int, ...], seed: int) -> None:
    n, c, h, w = shape
    image, flow = values(seed, shape), flows(seed, n, h, w)
    (top,) = check_forward(layer_of(), [image, flow])
    for b, y, x in np.ndindex(n, h, w):
        to_x, to_y = x + float(flow[b, 0, y, x]), y + float(flow[b, 1, y, x])
        expected = np.zeros(c)
        if 0 <= to_x < w and 0 <= to_y < h:
            left, above = int(to_x), int(to_y)
            right, below = min(left + 1, w - 1), min(above + 1, h - 1)
            across, down = to_x - left, to_y - above
            pixels = image[b]
            expected = (1 - down) * ((1 - across) * pixels[:, above, left] + across * pixels[:, above, right])
            expected += down * ((1 - across) * pixels[:, below, left] + across * pixels[:, below, right])
        np.testing.assert_allclose(top[b, :, y, x], expected, rtol=1e-5, atol=1e-6)


def test_what_lies_outside_may_be_marked() -> None:
    image, flow = values(0, (2, 3, 4, 5)), flows(1, 2, 4, 5)
    (zeros,) = check_forward(layer_of(), [image, flow])
    (marked,) = check_forward(layer_of("fill_value: NOT_A_NUMBER"), [image, flow])
    outside = np.isnan(marked)
    assert 0 < outside.sum() < outside.size
    np.testing.assert_array_equal(zeros[outside], 0)
    np.testing.assert_array_equal(marked[~outside], zeros[~outside])


def test_gradient() -> None:
    """At the last row and column slopes are not the values': there both corners are one, and the fork goes by
    their distance; flows that lead there are left out."""
    image, flow = values(0, (2, 3, 4, 5)), flows(2, 2, 4, 5)
    x, y = flow[:, 0] + np.arange(5), flow[:, 1] + np.arange(4)[:, None]
    flow[:, 0] = np.where((x > 4) & (x < 5), 50, flow[:, 0])
    flow[:, 1] = np.where((y > 3) & (y < 4), 50, flow[:, 1])
    check_gradient(layer_of(), [image, flow])


def test_slopes_at_the_last_row_are_the_forks() -> None:
    image = np.array([1, 2, 4, 8], np.float32).reshape(1, 1, 2, 2)
    flow = np.zeros((1, 2, 2, 2), np.float32)
    flow[0, :, 1, 0] = 0.25, 0.5  # from (0, 1) to x 0.25, y 1.5: the row below is row 1 as well
    _, d_flow = run_gradient(layer_of(), [image, flow], [], [np.eye(2, dtype=np.float32)[None, None, ::-1]])
    assert d_flow is not None
    slope_x = -0.5 * (8 - 4) + 1.5 * (8 - 4)
    assert d_flow[0, :, 1, 0].tolist() == pytest.approx([slope_x, 0])
    assert math.isclose(d_flow[0, 0, 0, 1], 0)


def test_shapes() -> None:
    assert layer_of().out_shapes([(2, 3, 4, 5), (2, 2, 4, 5)]) == ((2, 3, 4, 5),)
    for flow in ((2, 3, 4, 5), (1, 2, 4, 5), (2, 2, 5, 4)):
        with pytest.raises(ShapeError, match=r"flows \(N, 2, H, W\)"):
            layer_of().out_shapes([(2, 3, 4, 5), flow])

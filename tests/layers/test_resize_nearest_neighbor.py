"""ResizeNearestNeighbor: against its reference, and the loops of Synopsys' layer."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.layers.base import Layer

RULES = ["align_corners: false", "align_corners: true", "half_pixel_centers: true"]


def resize(text: str) -> Layer:
    return parse(f'type: "ResizeNearestNeighbor" resize_nearest_neighbor_param {{ {text} }}')


def place(rule: str, i: int, m: int, n: int) -> int:
    """Exact, as sizes here are powers of 2 but with ``align_corners``, where no place is near a half."""
    if rule == RULES[1] and n > 1:
        return floor(Fraction(i * (m - 1), n - 1) + Fraction(1, 2))
    if rule == RULES[1]:
        return 0
    return floor((i + (Fraction(1, 2) if rule == RULES[2] else 0)) * Fraction(m, n))


@few
@given(
    st.sampled_from(RULES),
    st.sampled_from(["NHWC", "NCHW"]),
    st.lists(st.sampled_from([1, 2, 4, 8]), min_size=4, max_size=4),
    seeds,
)
def test_by_loops(rule: str, layout: str, sizes: list[int], seed: int) -> None:
    m, n = sizes[:2], sizes[2:]
    x = values(seed, (2, 3, *m))
    expected = np.zeros((2, 3, *n), np.float32)
    for h, w in np.ndindex(*n):
        expected[:, :, h, w] = x[:, :, place(rule, h, m[0], n[0]), place(rule, w, m[1], n[1])]
    layer = resize(f'data_format: "{layout}" output_height: {n[0]} output_width: {n[1]} {rule}')
    if layout == "NHWC":
        (top,) = check_forward(layer, [np.moveaxis(x, 1, -1).copy()])
        top = np.moveaxis(top, -1, 1)
    else:
        (top,) = check_forward(layer, [x], dims=[(None, None, *m)])
    np.testing.assert_array_equal(top, expected)


def test_factors_tell_sizes() -> None:
    layer = resize('data_format: "NCHW" scale_height: 1.5 output_width: 4 align_corners: false')
    assert layer.out_shapes([(1, 2, 5, 9)]) == ((1, 2, 7, 4),)
    (top,) = check_forward(layer, [np.tile(np.arange(9, dtype=np.float32), (1, 2, 5, 1))])
    assert top[0, 0, 0].tolist() == [0, 2, 4, 6]

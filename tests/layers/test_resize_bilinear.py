"""ResizeBilinear: against its reference, and the loops of Synopsys' layer."""

from __future__ import annotations

from itertools import product
from math import ceil, floor

import numpy as np
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.layers.base import Layer

RULES = [
    "align_corners: false",
    "align_corners: true",
    "half_pixel_centers: true",
    "pytorch_half_pixel: true",
]


def resize(text: str) -> Layer:
    return parse(f'type: "ResizeBilinear" resize_bilinear_param {{ {text} }}')


def neighbours(rule: str, i: int, m: int, n: int) -> list[tuple[int, float]]:
    """The two places of an axis that element i is made of, and their shares."""
    scale = (m - 1) / (n - 1) if rule == RULES[1] and n > 1 else m / n
    at = i * scale if rule in RULES[:2] else (i + 0.5) * scale - 0.5
    if rule == RULES[3] and n == 1:
        at = -0.5
    share = at - floor(at)
    return [(max(floor(at), 0), 1 - share), (min(ceil(at), m - 1), share)]


def loops(rule: str, x: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The first two axes stay."""
    top = np.zeros((*x.shape[:2], *sizes))
    for index in np.ndindex(sizes):
        axes = [neighbours(rule, i, m, n) for i, m, n in zip(index, x.shape[2:], sizes, strict=True)]
        for corner in product(*axes):
            part = np.prod([share for _, share in corner])
            top[(..., *index)] += part * x[(..., *[place for place, _ in corner])]
    return top


@few
@given(
    st.sampled_from(RULES),
    st.sampled_from(["NHWC", "NCHW", "NCHWD"]),
    st.lists(st.sampled_from([1, 2, 3, 4, 6, 8]), min_size=6, max_size=6),
    seeds,
)
def test_by_loops(rule: str, layout: str, numbers: list[int], seed: int) -> None:
    axes = 3 if layout == "NCHWD" else 2
    sizes = tuple(numbers[:axes])
    x = values(seed, (2, 3, *numbers[3 : 3 + axes]))
    text = " ".join(f"output_{n}: {s}" for n, s in zip(("height", "width", "depth"), sizes, strict=False))
    layer = resize(f'data_format: "{layout}" {text} {rule}')
    expected = loops(rule, x.astype(float), sizes)
    if layout == "NHWC":
        (top,) = check_forward(layer, [np.moveaxis(x, 1, -1).copy()], atol=1e-5)
        top = np.moveaxis(top, -1, 1)
    else:
        (top,) = check_forward(layer, [x], dims=[(None, *x.shape[1:])], atol=1e-5)
    np.testing.assert_allclose(top, expected, rtol=1e-4, atol=1e-5)


def test_factors_tell_sizes() -> None:
    layer = resize('data_format: "NCHW" scale_height: 1.5 output_width: 4 align_corners: false')
    assert layer.out_shapes([(1, 2, 5, 9)]) == ((1, 2, 7, 4),)
    check_forward(layer, [values(0, (1, 2, 5, 9))], atol=1e-5)

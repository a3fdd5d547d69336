"""RegionYolo: against its reference, and number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError


def region(text: str, after: str = ""):
    return parse(f'type: "RegionYolo" region_yolo_param {{ {text} }} {after}')


def slowly(x: np.ndarray, coords: int, classes: int, softmax: bool) -> np.ndarray:
    """As darknet's layers do it, one number after the other."""
    numbers = coords + 1 + classes
    top = x.astype(float).copy()
    for n, c, h, w in np.ndindex(*x.shape):
        which = c % numbers
        if which in (0, 1, coords) or (which > coords and not softmax):
            top[n, c, h, w] = 1 / (1 + math.exp(-x[n, c, h, w]))
        elif which > coords:
            first = c - which + coords + 1
            total = sum(math.exp(v) for v in x[n, first : first + classes, h, w])
            top[n, c, h, w] = math.exp(x[n, c, h, w]) / total
    return top


@few
@given(st.integers(1, 3), st.integers(2, 5), st.integers(1, 4), st.booleans(), st.booleans(), seeds)
def test_region(number: int, coords: int, classes: int, softmax: bool, free: bool, seed: int) -> None:
    x = values(seed, (2, number * (coords + 1 + classes), 2, 3), -4, 4)
    counted = (
        f"num: {number} do_softmax: true"
        if softmax
        else f"num: 9 mask: {list(range(number))} do_softmax: false"
    )
    layer = region(f"coords: {coords} classes: {classes} {counted} anchors: [1, 2]")
    (top,) = check_forward(layer, [x], dims=[(None if free else 2, *x.shape[1:])])
    assert top.shape == ((2, x[0].size) if softmax else x.shape)
    np.testing.assert_allclose(
        top.reshape(x.shape), slowly(x, coords, classes, softmax), rtol=1e-4, atol=1e-6
    )


def test_what_is_refused() -> None:
    with pytest.raises(NetError, match="region_yolo_param: num"):
        region("do_softmax: false")
    with pytest.raises(UnsupportedError, match="flatten_param of RegionYolo"):
        region("num: 5", "flatten_param { axis: 2 }")
    with pytest.raises(ShapeError, match=r"must be \(N, 125, H, W\)"):
        region("num: 5", "flatten_param { axis: 1 end_axis: 3 }").out_shapes([(1, 50, 3, 3)])

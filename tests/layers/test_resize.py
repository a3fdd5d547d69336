"""Resize: against its reference, the loop of happynear's layer, and central differences."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.caffe.text import parse_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def resize(text: str) -> Layer:
    return parse(f'type: "Resize" resize_param {{ {text} }}')


def loop(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Element by element of one plane: up to four neighbours, those out of the plane left out."""
    height, width = x.shape
    top = np.zeros((rows, columns))
    for i, j in np.ndindex(rows, columns):
        down, across = i * height / rows, j * width / columns
        h, w = floor(down), floor(across)
        parts = {0: 1 - (down - h), 1: down - h}, {0: 1 - (across - w), 1: across - w}
        for a, b in np.ndindex(2, 2):
            if h + a < height and w + b < width:
                top[i, j] += parts[0][a] * parts[1][b] * x[h + a, w + b]
    return top


@few
@given(*[st.sampled_from([1, 2, 4, 5, 8])] * 4, seeds)
def test_by_the_loop(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    """Sizes whose ratios are exact in float32, or not at a bound."""
    layer = resize(f"height: {rows} width: {columns}")
    x = values(seed, (2, 1, height, width))
    (top,) = check_forward(layer, [x], dims=[(None, None, height, width)])
    for plane, of in zip(top, x, strict=True):
        np.testing.assert_allclose(plane[0], loop(of[0].astype(float), rows, columns), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(14, 3), (3, 14)])
def test_gradient(size: tuple[int, int]) -> None:
    check_gradient(resize(f"height: {size[0]} width: {size[1]}"), [values(0, (1, 2, 7, 5))])


def test_factors_are_for_pyramids() -> None:
    layer = resize("is_pyramid_test: true out_height_scale: 0.5 out_width_scale: 1.5")
    assert layer.out_shapes([(2, 3, 7, 5)]) == ((2, 3, 3, 7),)
    with pytest.raises(ShapeError, match="leave nothing"):
        layer.out_shapes([(2, 3, 1, 5)])


def test_the_layer_of_2014() -> None:
    text = "layers { name: 'r' type: RESIZE bottom: 'x' top: 'y' resize_param { height: 2 width: 3 } }"
    (layer,) = upgrade_net_param(parse_net(text), "net").layer
    assert layer.type == "Resize" and (layer.resize_param.height, layer.resize_param.width) == (2, 3)


def test_refuses() -> None:
    with pytest.raises(NetError, match="resize_param: width must be given and above 0"):
        resize("height: 2")
    with pytest.raises(NetError, match="out_height_scale must be given"):
        resize("is_pyramid_test: true height: 2 width: 2")
    with pytest.raises(ShapeError, match=r"must be \(N, C, H, W\)"):
        resize("height: 2 width: 2").out_shapes([(2, 3, 15)])

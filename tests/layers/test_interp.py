"""Interp: against its reference, central differences and DeepLab's rules."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

COORDINATES = 2e-5
"""Interpolation at float32 coordinates, in the fork's layer as in ONNX Runtime: shares of neighbours are
off by 1e-7 times the size, which is up to 9 here, and values by twice that."""


def interp(text: str) -> Layer:
    return parse(f'type: "Interp" interp_param {{ {text} }}')


@few
@given(shapes(least=4, largest=6), st.integers(1, 3), st.integers(1, 4), seeds, st.data())
def test_interp_by_factors(
    shape: tuple[int, ...], shrink: int, zoom: int, seed: int, data: st.DataObject
) -> None:
    text = f"shrink_factor: {shrink} " * data.draw(st.booleans()) + f"zoom_factor: {zoom} "
    begin = data.draw(st.integers(0, min(shape[2:]) - 1))
    end = data.draw(st.integers(0, min(shape[2:]) - 1 - begin))
    layer = interp(f"{text} pad_beg: {-begin} pad_end: {-end}")
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape))], atol=COORDINATES)
    check_gradient(layer, [x])


@few
@given(shapes(least=4), st.integers(1, 9), st.integers(1, 9), st.booleans(), seeds, st.data())
def test_interp_to_a_size(
    shape: tuple[int, ...], height: int, width: int, like: bool, seed: int, data: st.DataObject
) -> None:
    """The size is given, or that of a second bottom."""
    x = values(seed, shape)
    if like:
        other = (1, 1, height, width)
        bottoms, dims = [x, values(seed, other)], [data.draw(freed(shape)), data.draw(freed(other))]
        layer = interp("")
    else:
        bottoms, dims = [x], [data.draw(freed(shape))]
        layer = interp(f"height: {height} width: {width}")
    check_forward(layer, bottoms, dims=dims, atol=COORDINATES)
    check_gradient(layer, bottoms)


@few
@given(shapes(least=4), st.integers(1, 4), seeds, st.data())
def test_a_zoom_that_multiplies(shape: tuple[int, ...], zoom: int, seed: int, data: st.DataObject) -> None:
    layer, x = interp(f"zoom_factor: {zoom} zoom_multiplies: true"), values(seed, shape)
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))], atol=COORDINATES)
    assert top.shape == (*shape[:2], shape[2] * zoom, shape[3] * zoom)
    check_gradient(layer, [x])


def test_interp_keeps_corners() -> None:
    (top,) = check_forward(interp("zoom_factor: 2"), [np.array([[[[0, 2], [4, 6]]]], np.float32)])
    assert top.tolist() == [[[[0, 1, 2], [2, 3, 4], [4, 5, 6]]]]
    (top,) = check_forward(interp("height: 1 width: 1"), [np.array([[[[7, 2], [4, 6]]]], np.float32)])
    assert top.tolist() == [[[[7]]]]


def test_interp_takes_what_is_given_in_deeplabs_order() -> None:
    shape = (1, 1, 9, 9)
    assert interp("shrink_factor: 2 height: 3 width: 4").out_shapes([shape]) == ((1, 1, 5, 5),)
    assert interp("zoom_factor: 2 height: 3 width: 4").out_shapes([shape]) == ((1, 1, 17, 17),)
    both = "shrink_factor: 3 zoom_factor: 2"
    assert interp(f"{both} height: 3 width: 4").out_shapes([shape]) == ((1, 1, 3, 4),)
    assert interp(both).out_shapes([shape, (1, 1, 3, 4)]) == ((1, 1, 5, 5),)
    assert interp("height: 3").out_shapes([shape, (1, 1, 3, 4)]) == ((1, 1, 3, 4),)


def test_interp_refuses() -> None:
    with pytest.raises(UnsupportedError, match="layer 'l': interp_param: interp_type nearest_neighbor"):
        interp('interp_type: "nearest_neighbor" zoom_factor: 2')
    with pytest.raises(NetError, match="layer 'l': Only supports non-pos padding"):
        interp("pad_beg: 1 zoom_factor: 2")
    with pytest.raises(NetError, match="layer 'l': Shrink factor must be positive"):
        interp("shrink_factor: 0")
    with pytest.raises(NetError, match="layer 'l': height should be positive"):
        interp("height: 0 width: 3")
    with pytest.raises(ShapeError, match="Output dimension specified either by zoom factor"):
        interp("").out_shapes([(1, 1, 3, 3)])
    with pytest.raises(ShapeError, match="after cropping"):
        interp("zoom_factor: 2 pad_beg: -2 pad_end: -1").out_shapes([(1, 1, 4, 3)])

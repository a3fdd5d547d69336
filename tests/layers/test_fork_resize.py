"""Upsample and Interp: against their references, central differences and the forks' rules."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed

NOT_THE_MASK = Needed((True, False), ())
MASKED = 'bottom: "x" bottom: "mask" '
COORDINATES = 2e-5
"""Interpolation at float32 coordinates, in the fork's layer as in ONNX Runtime: shares of neighbours are
off by 1e-7 times the size, which is up to 9 here, and values by twice that."""


def upsample(text: str, bottoms: str = MASKED) -> Layer:
    return parse(f'type: "Upsample" {bottoms} upsample_param {{ {text} }}')


def interp(text: str) -> Layer:
    return parse(f'type: "Interp" interp_param {{ {text} }}')


def places(seed: int, shape: tuple[int, ...], area: int) -> np.ndarray:
    """A mask with no place twice in a plane."""
    rng = np.random.default_rng(seed)
    number = shape[2] * shape[3]
    planes = [rng.permutation(area)[:number] for _ in range(shape[0] * shape[1])]
    return np.array(planes, np.float32).reshape(shape)


@few
@given(shapes(least=4), st.integers(2, 4), st.integers(2, 4), seeds, st.data())
def test_upsample_by_factors(
    shape: tuple[int, ...], down: int, across: int, seed: int, data: st.DataObject
) -> None:
    pads = [data.draw(st.booleans()) and factor == 2 for factor in (down, across)]
    layer = upsample(f"scale_h: {down} scale_w: {across} pad_out_h: {int(pads[0])} pad_out_w: {int(pads[1])}")
    area = (shape[2] * down - pads[0]) * (shape[3] * across - pads[1])
    bottoms = [values(seed, shape), places(seed, shape, area)]
    free = data.draw(freed(shape))
    check_forward(layer, bottoms, dims=[free, free])
    check_gradient(layer, bottoms, needed=NOT_THE_MASK)


@few
@given(shapes(least=4, largest=3), seeds, st.data())
def test_upsample_to_a_size(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(max(2, n), 7)) for n in shape[2:])
    layer = upsample(f"scale: 2 upsample_h: {height} upsample_w: {width}")
    bottoms = [values(seed, shape), places(seed, shape, height * width)]
    free = data.draw(freed(shape))
    check_forward(layer, bottoms, dims=[free, free])
    check_gradient(layer, bottoms, needed=NOT_THE_MASK)


@few
@given(shapes(least=4), st.integers(1, 3), seeds, st.data())
def test_upsample_without_a_mask_repeats(
    shape: tuple[int, ...], scale: int, seed: int, data: st.DataObject
) -> None:
    layer = upsample(f"scale: {scale}", 'bottom: "x"')
    check_forward(layer, [values(seed, shape)], dims=[data.draw(freed(shape))])
    check_gradient(layer, [values(seed, shape)])


def test_upsample_undoes_a_pooling() -> None:
    x = np.array([[[[1, 5, 2], [3, 4, 9], [7, 8, 6]]]], np.float32)
    pooling = parse('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 } top: "y" top: "mask"')
    pooled, mask = check_forward(pooling, [x])
    (top,) = check_forward(upsample("scale: 2 pad_out_h: true pad_out_w: true"), [pooled, mask])
    assert top.tolist() == [[[[0, 5, 0], [0, 0, 9], [0, 8, 6]]]]


def test_upsample_defaults() -> None:
    assert upsample("").out_shapes([(1, 2, 3, 4)] * 2) == ((1, 2, 6, 8),)
    assert upsample("", 'bottom: "x"').out_shapes([(1, 2, 3, 4)]) == ((1, 2, 3, 4),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("scale: 2 scale_h: 2 scale_w: 2", r"scale OR scale_h & scale_w are required"),
        ("scale_h: 2", r"scale OR scale_h & scale_w are required"),
        ("scale: 1", r"the scale must be above 1, got \(1, 1\)"),
        ("scale: 3 pad_out_w: true", r"Output padding compensation requires scale_w == 2, got 3"),
        ("upsample_h: 1 upsample_w: 4", r"must be above 1: 1, 4"),
    ],
)
def test_upsample_refuses_parameters(text: str, problem: str) -> None:
    with pytest.raises(NetError, match=f"layer 'l': .*{problem}"):
        upsample(text)


def test_upsample_refuses_shapes() -> None:
    layer = upsample("scale: 2")
    with pytest.raises(ShapeError, match="Input must have 4 axes"):
        layer.out_shapes([(1, 2, 3), (1, 2, 3)])
    with pytest.raises(ShapeError, match="Input mask must have the input's shape"):
        layer.out_shapes([(1, 2, 3, 4), (1, 2, 3, 5)])
    with pytest.raises(NetError, match="without a mask as second bottom, only scale"):
        upsample("upsample_h: 4 upsample_w: 4", 'bottom: "x"').out_shapes([(1, 1, 2, 2)])


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

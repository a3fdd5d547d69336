"""Upsample: against its reference, central differences and the forks' rules."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer, Needed

NOT_THE_MASK = Needed((True, False), ())
MASKED = 'bottom: "x" bottom: "mask" '


def upsample(text: str, bottoms: str = MASKED) -> Layer:
    return parse(f'type: "Upsample" {bottoms} upsample_param {{ {text} }}')


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

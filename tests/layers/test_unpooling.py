"""Unpooling: against its reference, central differences and DeconvNet's rules by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed


def unpooling(text: str) -> Layer:
    return parse(f'type: "Unpooling" unpooling_param {{ {text} }}')


@few
@given(shapes(least=4, largest=4), st.integers(0, 3), st.integers(0, 3), seeds, st.data())
def test_with_a_mask(shape: tuple[int, ...], down: int, across: int, seed: int, data: st.DataObject) -> None:
    height, width = shape[2] + down, shape[3] + across
    rng = np.random.default_rng(seed)
    number = shape[2] * shape[3]
    planes = [rng.permutation(height * width)[:number] for _ in range(shape[0] * shape[1])]
    bottoms = [values(seed, shape), np.array(planes, np.float32).reshape(shape)]
    layer = unpooling(f"kernel_size: 2 unpool_h: {height} unpool_w: {width}")
    free = data.draw(freed(shape))
    check_forward(layer, bottoms, dims=[free, free])
    check_gradient(layer, bottoms, needed=Needed((True, False), ()))


@few
@given(shapes(least=4, largest=4), st.integers(1, 3), st.integers(1, 3), seeds)
def test_without_a_mask(shape: tuple[int, ...], down: int, across: int, seed: int) -> None:
    """Sizes that every value has a place of its own in."""
    height, width = (shape[2] - 1) * down + 1, (shape[3] - 1) * across + 2
    layer = unpooling(
        f"kernel_h: {down} kernel_w: {across} stride_h: {down} stride_w: {across}"
        f" unpool_h: {height} unpool_w: {width}"
    )
    check_forward(layer, [values(seed, shape)], dims=[(None, *shape[1:])])
    check_gradient(layer, [values(seed, shape)])


def test_by_hand() -> None:
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 2, 3)
    (top,) = check_forward(unpooling("kernel_size: 2 stride: 2 unpool_size: 5"), [x])
    rows = [[1, 0, 2, 0, 3], [0] * 5, [4, 0, 5, 0, 6], [0] * 5, [0] * 5]
    assert top.tolist() == [[rows]]
    (top,) = check_forward(unpooling("kernel_size: 2 stride: 2 unpool_size: 3"), [x])
    assert top.tolist() == [[[[1, 0, 3], [0, 0, 0], [4, 0, 6]]]]  # the last of the two at (0, 2) stays
    mask = np.array([[[[8, 1, 2], [3, 4, 7]]]], np.float32)
    (top,) = check_forward(unpooling("kernel_size: 2 unpool_size: 3"), [x, mask])
    assert top.tolist() == [[[[0, 2, 3], [4, 5, 0], [0, 6, 1]]]]


def test_undoes_a_pooling() -> None:
    x = np.array([[[[1, 5, 2], [3, 4, 9], [7, 8, 6]]]], np.float32)
    pooling = parse('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 } top: "y" top: "mask"')
    (top,) = check_forward(
        unpooling("kernel_size: 2 stride: 2 unpool_size: 3"), [*check_forward(pooling, [x])]
    )
    assert top.tolist() == [[[[0, 5, 0], [0, 0, 9], [0, 8, 6]]]]


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("unpool_size: 3", NetError, "Filter size is kernel_size OR"),
        ("unpool_size: 3 kernel_size: 2 kernel_h: 2", NetError, "Filter size is kernel_size OR"),
        ("kernel_size: 2", NetError, "Unpool is unpool_size OR"),
        ("kernel_size: 2 unpool_h: 2", NetError, "Unpool is unpool_size OR"),
        ("kernel_size: 2 unpool_size: 0", NetError, "Unpool is unpool_size OR"),
        ("kernel_size: 2 unpool_size: 3 stride_h: 2", NetError, "Stride is stride OR"),
        ("kernel_size: 2 unpool_size: 3 stride: 0", NetError, "Strides cannot be zero"),
        ("kernel_size: 2 unpool_size: 3 pad: 1", NetError, "only zero padding"),
        ("kernel_size: 2 unpool_size: 3 unpool: TILE", UnsupportedError, "TILE is not implemented"),
        ("kernel_size: 2 unpool_size: 3 unpool: AVE", UnsupportedError, "AVE is not implemented"),
    ],
)
def test_refuses_parameters(text: str, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=f"layer 'l': .*{problem}"):
        unpooling(text)


def test_refuses_shapes() -> None:
    layer = unpooling("kernel_size: 2 unpool_size: 3")
    with pytest.raises(ShapeError, match="Input must have 4 axes"):
        layer.out_shapes([(1, 2, 3)])
    with pytest.raises(ShapeError, match="the mask must have the input's shape"):
        layer.out_shapes([(1, 2, 3, 4), (1, 2, 3, 5)])

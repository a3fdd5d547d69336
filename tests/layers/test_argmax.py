from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def layer_of(param: str) -> Layer:
    return parse(f'type: "ArgMax" argmax_param {{ {param} }}')


@few
@given(shapes(), st.booleans(), st.booleans(), st.booleans(), seeds, st.data())
def test_any_shape(
    shape: tuple[int, ...], flat: bool, value: bool, ties: bool, seed: int, data: st.DataObject
) -> None:
    axis = data.draw(axes(shape))
    most = math.prod(shape[1:]) if flat else shape[axis]
    param = f"top_k: {data.draw(st.integers(1, most))} out_max_val: {str(value).lower()}"
    x = values(seed, shape, low=-3, high=3)
    if ties:
        x = np.round(x)
    layer = layer_of(param if flat else f"{param} axis: {axis}")
    check_forward(layer, [x], dims=[data.draw(freed(shape))])


def test_of_equal_values_the_larger_index_comes_first() -> None:
    x = np.array([[1, 5, 5, 2, 5], [0, 0, 0, 0, 0]], np.float32)
    (y,) = check_forward(layer_of("top_k: 4"), [x])
    np.testing.assert_array_equal(y[:, 0], [[4, 2, 1, 3], [4, 3, 2, 1]])


def test_indices_and_values_of_whole_items() -> None:
    x = np.array([[[[1, 7]], [[4, 2]]]], np.float32)
    (y,) = check_forward(layer_of("top_k: 2 out_max_val: true"), [x])
    np.testing.assert_array_equal(y, [[[[1], [2]], [[7], [4]]]])


def test_caffe_has_no_backward_pass() -> None:
    assert not layer_of("").has_gradient


def test_top_k_must_fit() -> None:
    with pytest.raises(NetError, match="top k must not be less than 1"):
        layer_of("top_k: 0")
    with pytest.raises(ShapeError, match=r"top_k must be .* dimension of the axis. \(4 vs. 3\)"):
        layer_of("top_k: 4 axis: 1").out_shapes([(2, 3, 9)])
    with pytest.raises(ShapeError, match=r"flattened bottom blob per instance. \(7 vs. 6\)"):
        layer_of("top_k: 7").out_shapes([(2, 3, 2)])
    with pytest.raises(NetError, match="axis 2 out of range"):
        layer_of("axis: 2").out_shapes([(2, 3)])

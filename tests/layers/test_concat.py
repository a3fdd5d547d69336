from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Needed


@few
@given(shapes(), st.lists(st.integers(1, 4), min_size=1, max_size=4), seeds, st.data())
def test_any_shape(shape: tuple[int, ...], sizes: list[int], seed: int, data: st.DataObject) -> None:
    axis = data.draw(axes(shape))
    at = axis % len(shape)
    bottoms = [values(seed + i, (*shape[:at], size, *shape[at + 1 :])) for i, size in enumerate(sizes)]
    free = data.draw(freed(shape))
    dims = [(*free[:at], size, *free[at + 1 :]) for size in sizes]
    layer = parse(f'type: "Concat" concat_param {{ axis: {axis} }}')
    check_forward(layer, bottoms, dims=dims)
    check_gradient(layer, bottoms)


def test_the_default_axis_is_1() -> None:
    layer = parse('type: "Concat"')
    assert layer.out_shapes([(2, 3, 4), (2, 1, 4), (2, 5, 4)]) == ((2, 9, 4),)


def test_concat_dim_is_the_older_name() -> None:
    layer = parse('type: "Concat" concat_param { concat_dim: 2 }')
    assert layer.out_shapes([(2, 3, 4), (2, 3, 1)]) == ((2, 3, 5),)
    with pytest.raises(ShapeError, match="concat_dim out of range"):
        layer.out_shapes([(2, 3), (2, 3)])


def test_both_names_are_refused() -> None:
    with pytest.raises(NetError, match="Either axis or concat_dim should be specified; not both"):
        parse('type: "Concat" concat_param { axis: 1 concat_dim: 1 }')


def test_shapes_must_agree() -> None:
    layer = parse('type: "Concat"')
    with pytest.raises(ShapeError, match="All inputs must have the same shape, except at concat_axis"):
        layer.out_shapes([(2, 3, 6), (2, 3, 7)])
    with pytest.raises(ShapeError, match="All inputs must have the same #axes"):
        layer.out_shapes([(2, 3, 6), (2, 3)])
    with pytest.raises(NetError, match="axis 1 out of range"):
        layer.out_shapes([(2,), (2,)])


def test_only_the_gradients_that_are_needed() -> None:
    bottoms = [np.zeros((2, n), np.float32) for n in (1, 2, 3)]
    dy = np.arange(12, dtype=np.float32).reshape(2, 6)
    got = run_gradient(parse('type: "Concat"'), bottoms, [], [dy], needed=Needed((False, True, False), ()))
    assert got[0] is None and got[2] is None
    np.testing.assert_array_equal(got[1], dy[:, 1:3])

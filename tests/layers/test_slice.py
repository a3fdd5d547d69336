from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def layer_of(tops: int, slice_param: str = "") -> Layer:
    names = " ".join(f'top: "y{i}"' for i in range(tops))
    return parse(f'type: "Slice" {names} slice_param {{ {slice_param} }}')


@few
@given(shapes(), st.integers(2, 9), seeds, st.data())
def test_any_points(shape: tuple[int, ...], whole: int, seed: int, data: st.DataObject) -> None:
    """Any size may be symbolic, that of the sliced axis too."""
    axis = data.draw(axes(shape))
    points = sorted(data.draw(st.sets(st.integers(1, whole - 1), max_size=4)))
    shape = (*shape[: axis % len(shape)], whole, *shape[axis % len(shape) + 1 :])
    x = values(seed, shape)
    layer = layer_of(len(points) + 1, f"axis: {axis} " + " ".join(f"slice_point: {p}" for p in points))
    check_forward(layer, [x], dims=[data.draw(freed(shape)) if points else shape])
    check_gradient(layer, [x])


@few
@given(shapes(), st.integers(1, 4), seeds, st.data())
def test_even_pieces(shape: tuple[int, ...], tops: int, seed: int, data: st.DataObject) -> None:
    axis = data.draw(axes(shape))
    at = axis % len(shape)
    shape = (*shape[:at], shape[at] * tops, *shape[at + 1 :])
    x = values(seed, shape)
    layer = layer_of(tops, f"axis: {axis}")
    check_forward(layer, [x], dims=[data.draw(freed(shape, but=(at,)))])
    check_gradient(layer, [x])


def test_slice_dim_is_the_older_name() -> None:
    assert layer_of(2, "slice_dim: 2").out_shapes([(2, 3, 4)]) == ((2, 3, 2), (2, 3, 2))
    with pytest.raises(ShapeError, match="slice_dim out of range"):
        layer_of(2, "slice_dim: 2").out_shapes([(2, 4)])
    with pytest.raises(NetError, match="Either axis or slice_dim should be specified; not both"):
        layer_of(2, "slice_dim: 1 axis: 1")


def test_a_last_piece_may_be_empty() -> None:
    x = values(0, (2, 4))
    *_, last = check_forward(layer_of(3, "slice_point: 1 slice_point: 4"), [x])
    assert last.shape == (2, 0)


@pytest.mark.parametrize(
    ("tops", "param", "message"),
    [
        (2, "slice_point: 1 slice_point: 2", "slice_point_.size"),
        (3, "slice_point: 2 slice_point: 2", "slice points must grow"),
        (2, "slice_point: 0", "slice points must grow"),
    ],
)
def test_wrong_points(tops: int, param: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        layer_of(tops, param)


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(
        ShapeError, match=r"Number of top blobs \(2\) should evenly divide input slice axis \(3\)"
    ):
        layer_of(2).out_shapes([(4, 3)])
    with pytest.raises(ShapeError, match="too many tops"):
        layer_of(3, "slice_point: 1 slice_point: 2").out_shapes([(4, 2)])
    with pytest.raises(ShapeError, match="beyond the axis"):
        layer_of(2, "slice_point: 7").out_shapes([(4, 3)])


def test_a_top_without_gradient_counts_as_zeros() -> None:
    x = values(0, (2, 5, 3))
    layer = layer_of(3, "slice_point: 1 slice_point: 3")
    d = values(1, (2, 2, 3))
    (dx,) = run_gradient(layer, [x], [], [None, d, None])
    np.testing.assert_array_equal(dx[:, 1:3], d)
    assert not dx[:, :1].any() and not dx[:, 3:].any()
    assert run_gradient(layer, [x], [], [None] * 3) == [None]

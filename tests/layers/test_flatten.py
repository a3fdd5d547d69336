from __future__ import annotations

import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError, NetError, ShapeError
from vggrepro.layers.base import Layer


def layer_of(axis: int, end_axis: int) -> Layer:
    return parse(f'type: "Flatten" flatten_param {{ axis: {axis} end_axis: {end_axis} }}')


@few
@given(shapes(), seeds, st.data())
def test_any_axes(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    """Leading sizes and those that are flattened may be symbolic."""
    rank = len(shape)
    start = data.draw(st.integers(0, rank - 1))
    end = data.draw(st.integers(max(0, start - 1), rank - 1))
    shift = data.draw(st.sampled_from([0, rank]))
    layer = layer_of(start - shift, end - shift)
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape, but=tuple(range(end + 1, rank))))])
    check_gradient(layer, [x])


def test_a_size_behind_may_be_symbolic_instead() -> None:
    x = values(0, (2, 3, 4, 5))
    check_forward(layer_of(1, 2), [x], dims=[(None, 3, 4, None)])
    with pytest.raises(FixedShapeError):
        layer_of(1, 2).emit(GraphBuilder(), [Value("x", (None, 3, None, None))], [], [])


def test_end_axis_just_before_axis_is_a_new_axis() -> None:
    assert layer_of(2, 1).out_shapes([(2, 3, 4)]) == ((2, 3, 1, 4),)
    with pytest.raises(ShapeError, match="end_axis lies before axis"):
        layer_of(2, 0).out_shapes([(2, 3, 4)])


def test_axes_out_of_range() -> None:
    for axis, end_axis in ((3, -1), (1, 3), (-4, -1)):
        with pytest.raises(NetError, match="out of range"):
            layer_of(axis, end_axis).out_shapes([(2, 3, 4)])

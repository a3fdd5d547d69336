from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def layer_of(axis: int, offsets: list[int] | tuple[int, ...]) -> Layer:
    return parse(
        f'type: "Crop" crop_param {{ axis: {axis} ' + " ".join(f"offset: {o}" for o in offsets) + " }"
    )


@few
@given(shapes(largest=3), seeds, st.data())
def test_any_window(size: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    """The data is larger than the size blob by any margins; all sizes may be symbolic."""
    axis = data.draw(axes(size))
    cut = len(size) - axis % len(size)
    number = data.draw(st.sampled_from([0, 1, cut]))
    offsets = data.draw(st.lists(st.integers(0, 2), min_size=number, max_size=number))
    before = [0] * (len(size) - cut) + (offsets if number == cut else (offsets or [0]) * cut)
    after = data.draw(st.lists(st.integers(0, 2), min_size=len(size), max_size=len(size)))
    whole = tuple(b + s + a for b, s, a in zip(before, size, after, strict=True))
    bottoms = [values(seed, whole), np.zeros(size, np.float32)]
    layer = layer_of(axis, offsets)
    check_forward(layer, bottoms, dims=[data.draw(freed(whole)), data.draw(freed(size))])
    check_gradient(layer, bottoms)


def test_the_size_blob_may_have_other_sizes_before_the_axis() -> None:
    assert layer_of(2, [1, 0]).out_shapes([(2, 3, 6, 7), (9, 8, 4, 5)]) == ((2, 3, 4, 5),)


def test_the_default_axis_is_2() -> None:
    assert parse('type: "Crop"').out_shapes([(2, 3, 6, 7), (1, 1, 4, 5)]) == ((2, 3, 4, 5),)


def test_windows_that_do_not_fit() -> None:
    with pytest.raises(
        ShapeError, match="the crop for dimension 2 is out-of-bounds with size 5 and offset 1"
    ):
        layer_of(2, [1]).out_shapes([(1, 1, 5, 9), (1, 1, 5, 5)])
    with pytest.raises(ShapeError, match="number of offset values specified must be equal"):
        layer_of(1, [1, 1]).out_shapes([(1, 9, 9, 9), (1, 1, 1, 1)])
    with pytest.raises(NetError, match="axis 2 out of range"):
        layer_of(2, []).out_shapes([(1, 9), (1, 1)])
    with pytest.raises(NetError, match="size blob: axis 3 out of range"):
        layer_of(2, []).out_shapes([(1, 9, 9, 9), (1, 1, 1)])

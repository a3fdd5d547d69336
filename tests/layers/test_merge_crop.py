"""MergeCrop: against its reference, central differences and windows cut by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def merge_crop(text: str = "") -> Layer:
    return parse(f'type: "MergeCrop" mergecrop_param {{ {text} }}')


@few
@given(
    st.sampled_from(
        ["", "operation: ADD", "backward: true backward: 1", "forward: 1 forward: 0", "forward: 0"]
    ),
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=3),
    seeds,
    st.data(),
)
def test_merge_crop(text: str, sizes: list[tuple[int, int]], seed: int, data: st.DataObject) -> None:
    a = values(seed, (2, 3, *(size for size, _ in sizes)))
    b = values(seed + 1, (2, 3, *(size + more for size, more in sizes)))
    layer = merge_crop(text)
    dims = [data.draw(freed(a.shape, but=(1,))), data.draw(freed(b.shape, but=(1,)))]
    check_forward(layer, [a, b], dims=dims)
    if "forward" not in text:
        check_gradient(layer, [a, b])


def test_by_hand() -> None:
    a, b = values(1, (1, 2, 2, 3)), values(2, (1, 2, 5, 5))
    middle = b[:, :, 1:3, 1:4]
    (stacked,) = check_forward(merge_crop(), [a, b])
    np.testing.assert_array_equal(stacked, np.concatenate([a, middle], axis=1))
    (added,) = check_forward(merge_crop("operation: ADD"), [a, b])
    np.testing.assert_array_equal(added, a + middle)
    assert merge_crop().blind_bottoms == {1}
    assert merge_crop("backward: 0 backward: 1").blind_bottoms == {0}


def test_refuses() -> None:
    with pytest.raises(NetError, match="at most two of forward and backward"):
        merge_crop("forward: 1 forward: 1 forward: 1")
    with pytest.raises(ShapeError, match="no smaller"):
        merge_crop().out_shapes([(1, 2, 3, 3), (1, 2, 3, 2)])
    with pytest.raises(UnsupportedError, match="unequal channels"):
        merge_crop().out_shapes([(1, 2, 3, 3), (1, 4, 3, 3)])
    with pytest.raises(ShapeError, match="unequal channels"):
        merge_crop("operation: ADD").out_shapes([(1, 2, 3, 3), (1, 4, 3, 3)])

"""Axes and shapes in Caffe's words."""

from __future__ import annotations

import re

import pytest

from vggrepro.errors import NetError
from vggrepro.layers.rules.axes import canonical_axis, shape_string


@pytest.mark.parametrize(("axis", "expected"), [(0, 0), (3, 3), (-1, 3), (-4, 0)])
def test_a_negative_axis_counts_from_the_end(axis: int, expected: int) -> None:
    assert canonical_axis(axis, (2, 3, 4, 5), "x") == canonical_axis(axis, 4, "x") == expected


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_out_of_range_is_refused_with_the_shape(axis: int) -> None:
    text = f"Slice: axis {axis} out of range for 2-D Blob with shape 2 3 (6)"
    with pytest.raises(NetError, match=re.escape(text)):
        canonical_axis(axis, (2, 3), "Slice")


def test_shapes_are_printed_with_their_product() -> None:
    assert shape_string((2, 3, 4)) == "2 3 4 (24)"
    assert shape_string(()) == "(1)"
    assert shape_string((None, 3)) == "? 3 (?)"

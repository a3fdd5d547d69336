"""ExpandDimsND: against its reference, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def expand(*axes: int) -> Layer:
    named = " ".join(f"axis: {axis}" for axis in axes)
    return parse(f'type: "ExpandDimsND" expand_dims_nd_param {{ {named} }}')


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ((), (2, 3)),
        ((1,), (2, 1, 3)),
        ((-1,), (2, 3, 1)),
        ((-2,), (2, 1, 3)),
        ((0, 2), (1, 2, 3, 1)),
        ((1, 0), (2, 1, 1, 3)),
        ((1, 1), (2, 1, 1, 3)),
    ],
)
def test_forward_and_gradient(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = values(0, (2, 3))
    (top,) = check_forward(expand(*axes), [x], dims=[(None, 3)])
    assert top.shape == shape
    np.testing.assert_array_equal(top.reshape(-1), x.reshape(-1))
    check_gradient(expand(*axes), [x])


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="axis 3 is beyond the 2 axes of the bottom"):
        expand(3).out_shapes([(2, 3)])
    with pytest.raises(NetError, match="axis -3 out of range"):
        expand(-3).out_shapes([(2, 3)])

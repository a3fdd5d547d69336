"""Squeeze: against its reference, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.emit import Dims
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def squeeze(*axes: int) -> Layer:
    return parse(f'type: "Squeeze" squeeze_param {{ {" ".join(f"axis: {axis}" for axis in axes)} }}')


@pytest.mark.parametrize(
    ("axes", "shape", "dims", "expected"),
    [
        ((), (2, 1, 3, 1), (2, 1, 3, 1), (2, 3)),
        ((), (2, 3), (2, 3), (2, 3)),
        ((), (1, 1), (1, 1), ()),
        ((1,), (2, 1, 3, 1), (None, 1, None, 1), (2, 3, 1)),
        ((-1, 1, 3), (2, 1, 3, 1), (None, 1, 3, 1), (2, 3)),
    ],
)
def test_forward_and_gradient(
    axes: tuple[int, ...], shape: tuple[int, ...], dims: Dims, expected: Dims
) -> None:
    x = values(0, shape)
    (top,) = check_forward(squeeze(*axes), [x], dims=[dims])
    assert top.shape == expected
    np.testing.assert_array_equal(top.reshape(-1), x.reshape(-1))
    check_gradient(squeeze(*axes), [x])


def test_which_sizes_must_be_fixed() -> None:
    assert squeeze().fixed_axes([(2, 1, 3)]) == {0, 1, 2}
    assert squeeze(-2).fixed_axes([(2, 1, 3)]) == {1}


def test_refuses() -> None:
    with pytest.raises(ShapeError, match="Can't remove axis that is not shape 1!"):
        squeeze(0).out_shapes([(2, 1)])
    with pytest.raises(NetError, match="axis 2 out of range"):
        squeeze(2).out_shapes([(2, 1)])

"""Transpose: against its reference, and NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def transpose(*dims: int) -> Layer:
    return parse(f'type: "Transpose" transpose_param {{ {" ".join(f"dim: {dim}" for dim in dims)} }}')


def test_forward_and_gradient() -> None:
    x = values(0, (2, 3, 4, 5))
    layer = transpose(2, 0, 3, 1)
    (top,) = check_forward(layer, [x], dims=[(None,) * 4])
    np.testing.assert_array_equal(top, x.transpose(2, 0, 3, 1))
    check_gradient(layer, [x])


def test_refuses() -> None:
    for dims in ((0, 0, 1), (1, 2), (0, 1, 3)):
        with pytest.raises(NetError, match="layer 'l': transpose_param: dim must name each axis once"):
            transpose(*dims)
    with pytest.raises(ShapeError, match="top blob and bottom blob must be equal"):
        transpose(1, 0).out_shapes([(2, 3, 4)])

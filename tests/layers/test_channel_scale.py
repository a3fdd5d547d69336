"""ChannelScale: against its reference, central differences and its flags."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def scaled(text: str = "") -> Layer:
    return parse(f'type: "ChannelScale" channel_scale_param {{ {text} }}')


@few
@given(shapes(least=2), st.booleans(), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], flat: bool, seed: int, data: st.DataObject) -> None:
    x = values(seed, shape)
    factors = values(seed + 1, (shape[0], *shape[2:]) if flat else (shape[0], 1, *shape[2:]))
    (top,) = check_forward(scaled(), [x, factors], dims=[data.draw(freed(shape)), factors.shape])
    np.testing.assert_allclose(top, x * factors.reshape(shape[0], 1, *shape[2:]), rtol=1e-6)
    check_gradient(scaled(), [x, factors])


def test_flags() -> None:
    x, factors, dy = np.float32([[1, 2]]), np.float32([[3]]), np.float32([[5, 7]])
    layer = scaled("do_forward: false do_backward_feature: false do_backward_scale: false")
    np.testing.assert_array_equal(check_forward(layer, [x, factors])[0], x)
    dx, d_factors = run_gradient(layer, [x, factors], [], [dy])
    np.testing.assert_array_equal(dx, dy)
    assert d_factors is None


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="global_scale is not implemented"):
        scaled("global_scale: true")
    with pytest.raises(ShapeError, match="one number for each place"):
        scaled().out_shapes([(2, 3, 4), (2, 3)])

"""GRN: against its reference, a formula of the test's own, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError


@few
@given(shapes(least=2, most=4), st.sampled_from([0, 0.5, 1]), seeds, st.data())
def test_grn(shape: tuple[int, ...], bias: float, seed: int, data: st.DataObject) -> None:
    layer = parse(f'type: "GRN" grn_param {{ bias: {bias} }}')
    x = values(seed, shape)
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    assert top.shape == (*shape, *(1,) * (4 - len(shape)))
    lengths = np.sqrt(bias + np.einsum("nc...,nc...->n...", x, x)[:, None])
    np.testing.assert_allclose(top.reshape(shape) * lengths, x, rtol=1e-5, atol=1e-6)
    if bias:
        check_gradient(layer, [x])


def test_a_bias_of_zero_gives_unit_vectors() -> None:
    layer = parse('type: "GRN" grn_param { bias: 0 }')
    x = values(0, (2, 5, 3, 2))
    (top,) = check_forward(layer, [x])
    np.testing.assert_allclose(np.square(top).sum(1), 1, rtol=1e-5)
    check_gradient(layer, [x])


def test_what_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="GRN without grn_param: forks differ"):
        parse('type: "GRN"')
    with pytest.raises(NetError, match="Bias must be >=0"):
        parse('type: "GRN" grn_param { bias: -1 }')
    with pytest.raises(ShapeError, match="must be"):
        parse('type: "GRN" grn_param { }').out_shapes([(3,)])
    assert parse('type: "GRN" grn_param { }').bias == 1

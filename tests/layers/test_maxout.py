"""Maxout: against its reference, the fork's loops and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def maxout(outputs: int) -> Layer:
    return parse(f'type: "Maxout" maxout_param {{ num_output: {outputs} }}')


@few
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), seeds, st.data())
def test_by_loops(outputs: int, size: int, number: int, seed: int, data: st.DataObject) -> None:
    x = values(seed, (number, outputs * size, 2, 3))
    (top,) = check_forward(maxout(outputs), [x], dims=[data.draw(freed(x.shape, but=(1,)))])
    for n, o, h, w in np.ndindex(top.shape):
        assert top[n, o, h, w] == x[n, o * size : (o + 1) * size, h, w].max()
    check_gradient(maxout(outputs), [x])


def test_the_first_of_equal_ones_gets_the_gradient() -> None:
    x = np.float32([1, 4, 4, 2]).reshape(1, 4, 1, 1)
    dx = run_gradient(maxout(1), [x], [], [np.full((1, 1, 1, 1), 3, np.float32)])[0]
    assert dx.reshape(-1).tolist() == [0, 3, 0, 0]


def test_refuses() -> None:
    with pytest.raises(NetError, match="cannot be zero"):
        maxout(0)
    with pytest.raises(ShapeError, match="multiples of output number"):
        maxout(2).out_shapes([(1, 3, 2, 2)])

from __future__ import annotations

import numpy as np
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.layers.base import Layer


def layer_of(tops: int) -> Layer:
    return parse('type: "Split" ' + " ".join(f'top: "y{i}"' for i in range(tops)))


@few
@given(shapes(0), st.integers(1, 4), seeds, st.data())
def test_any_shape(shape: tuple[int, ...], tops: int, seed: int, data: st.DataObject) -> None:
    x = values(seed, shape)
    got = check_forward(layer_of(tops), [x], dims=[data.draw(freed(shape))])
    assert len(got) == tops
    check_gradient(layer_of(tops), [x], seed=seed % 1000)


def test_a_top_without_gradient_adds_nothing() -> None:
    x, d = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    (got,) = run_gradient(layer_of(3), [x], [], [None, d, None])
    np.testing.assert_array_equal(got, d)
    assert run_gradient(layer_of(2), [x], [], [None, None]) == [None]

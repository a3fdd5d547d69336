from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import few, freed

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Needed

LAYER = parse('type: "EuclideanLoss"')


@few
@given(st.data())
def test_any_shape(data: st.DataObject) -> None:
    """The second bottom may have other axes, as long as each instance has as many elements."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    other = data.draw(st.sampled_from([tuple(shape), (shape[0], math.prod(shape[1:]))]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    bottoms = [tie_free(rng, shape), tie_free(rng, other, -2, 3)]
    check_forward(LAYER, bottoms, dims=[data.draw(freed(b.shape)) for b in bottoms])
    flags = data.draw(st.tuples(st.booleans(), st.booleans()).filter(any))
    check_gradient(LAYER, bottoms, d_tops=[np.array(0.7, np.float32)], needed=Needed(flags, ()))


def test_value() -> None:
    a, b = np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 0], [0, 0]], np.float32)
    (loss,) = check_forward(LAYER, [a, b])
    assert loss == (4 + 9 + 16) / 4
    d_a, d_b = run_gradient(LAYER, [a, b], [], [np.array(1, np.float32)])
    np.testing.assert_array_equal(d_a, (a - b) / 2)
    np.testing.assert_array_equal(d_b, (b - a) / 2)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3), (3, 2)], "The data and label should have the same first dimension"),
        ([(2, 3), (2, 4)], r"Inputs must have the same dimension. \(3 vs. 4\)"),
        ([(2, 1, 1, 1, 3), (2, 3)], "Cannot use legacy accessors on Blobs with > 4 axes"),
        ([(), ()], "The data and label should have the same first dimension"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        LAYER.out_shapes(shapes)

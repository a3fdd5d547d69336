"""PReLU against its reference, central differences and Caffe's limits."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Needed


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.booleans(), st.integers(0, 2**32 - 1))
def test_equals_reference_and_central_differences(shape: list[int], shared: bool, seed: int) -> None:
    layer = parse(f'type: "PReLU" prelu_param {{ channel_shared: {str(shared).lower()} }}')
    rng = np.random.default_rng(seed)
    x, slope = tie_free(rng, shape), tie_free(rng, () if shared else (shape[1],), -2, 2.5)
    check_forward(layer, [x], [slope], dims=[(None, shape[1], *[None] * (len(shape) - 2))])
    check_gradient(layer, [x], [slope], most=40, atol=2e-5)


def test_at_zero_the_learned_slope_counts() -> None:
    x, slope = np.array([[0, -2], [3, 0]], np.float32), np.array([0.5, -1], np.float32)
    layer = parse('type: "PReLU"')
    dx, d_slope = run_gradient(layer, [x], [slope], [np.ones((2, 2), np.float32)])
    np.testing.assert_array_equal(dx, [[0.5, -1], [1, -1]])
    np.testing.assert_array_equal(d_slope, [0, -2])
    only = Needed((False,), (True,))
    assert run_gradient(layer, [x], [slope], [np.ones((2, 2), np.float32)], needed=only)[0] is None


def test_parameters() -> None:
    (slope,) = parse('type: "PReLU"').param_defs([(2, 3, 4)])
    assert (slope.shape, slope.filler.type, slope.filler.value) == ((3,), "constant", 0.25)
    (slope,) = parse('type: "PReLU" prelu_param { channel_shared: true filler { value: 2 } }').param_defs(
        [(2, 3)]
    )
    assert (slope.shape, slope.filler.value) == ((), 2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3,), "Number of axes of bottom blob must be >=2"), ((1, 2, 3, 4, 5), "Cannot use legacy accessors")],
)
def test_shapes_that_caffe_refuses(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        parse('type: "PReLU"').out_shapes([shape])

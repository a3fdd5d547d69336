from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Layer


def layer_of(variance: bool = True, across: bool = False, eps: float = 1e-9) -> Layer:
    flags = f"normalize_variance: {variance} across_channels: {across}".lower()
    return parse(f'type: "MVN" mvn_param {{ {flags} eps: {eps} }}')


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 5), min_size=3, max_size=4), st.booleans(), st.booleans(), st.booleans())
def test_any_shape(shape: list[int], variance: bool, across: bool, free: bool) -> None:
    layer = layer_of(variance, across)
    x = tie_free(np.random.default_rng(0), shape, -2, 4)
    check_forward(layer, [x], dims=[(None,) * len(shape)] if free else None)
    check_gradient(layer, [x], most=40, atol=5e-5)


@pytest.mark.parametrize("shape", [(3,), (3, 5)])
def test_missing_axes_are_added(shape: tuple[int, ...]) -> None:
    x = tie_free(np.random.default_rng(0), shape)
    (y,) = check_forward(layer_of(variance=False, across=True), [x], dims=[(None,) * len(shape)])
    assert y.shape == (*shape, 1, 1, 1)[:4]
    check_gradient(layer_of(variance=False, across=True), [x])


def test_eps_is_added_to_the_deviation_and_backward_ignores_it_there() -> None:
    """Deviation 2, eps 2: y is half of what it were. Caffe's dx takes y for a normal variable."""
    x = np.array([-2, 2, -2, 2], np.float32).reshape(1, 1, 2, 2)
    dy = np.array([1, 2, 4, 9], np.float32).reshape(x.shape)
    (y,) = check_forward(layer_of(eps=2), [x])
    np.testing.assert_allclose(y, x / 4)
    (dx,) = run_gradient(layer_of(eps=2), [x], [], [dy])
    y64 = x / 4
    np.testing.assert_allclose(dx, (dy - dy.mean() - y64 * (y64 * dy).mean()) / 4, rtol=1e-6)


def test_five_axes_are_refused() -> None:
    with pytest.raises(ShapeError, match="legacy accessors on Blobs with > 4 axes"):
        layer_of().out_shapes([(1, 2, 3, 4, 5)])

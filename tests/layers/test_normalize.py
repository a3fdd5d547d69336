"""Normalize: against its reference, and SSD's gradient by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError, UnsupportedError

EPS = 0.01
"""Large enough for central differences of vectors of one element, whose length is else constant."""


@few
@given(shapes(least=2, most=4), st.booleans(), st.booleans(), seeds, st.data())
def test_normalize(
    shape: tuple[int, ...], across: bool, shared: bool, seed: int, data: st.DataObject
) -> None:
    """SSD's gradient is that of calculus where all channels have the same scale."""
    flags = f"across_spatial: {int(across)} channel_shared: {int(shared)}"
    layer = parse(f'type: "Normalize" norm_param {{ {flags} eps: {EPS} }}')
    x = values(seed, shape)
    size = () if shared else shape[1:2]
    check_forward(layer, [x], [values(seed + 1, size)], dims=[data.draw(freed(shape, but=(1,)))])
    check_gradient(layer, [x], [np.full(size, 1.5, np.float32)])


def test_normalize_keeps_the_scale_out_of_the_sum() -> None:
    """By hand, for unequal scales, where SSD's backward is not the derivative of its forward."""
    layer = parse('type: "Normalize" norm_param { across_spatial: false channel_shared: false eps: 0 }')
    x, scale, dy = np.array([[[3.0]], [[4.0]]]), np.array([2.0, 10.0]), np.array([[[1.0]], [[1.0]]])
    arrays = [a.astype(np.float32) for a in (x[None], scale, dy[None])]
    dx, d_scale = run_gradient(layer, [arrays[0]], [arrays[1]], [arrays[2]])
    unit = x / 5
    expected = scale.reshape(2, 1, 1) * (dy - unit * (unit * dy).sum()) / 5
    np.testing.assert_allclose(dx, expected[None], rtol=1e-5)
    np.testing.assert_allclose(d_scale, (dy * unit).sum((1, 2)), rtol=1e-5)


def test_normalize_of_other_forks_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="layer 'l': Normalize without norm_param"):
        parse('type: "Normalize"')
    layer = parse('type: "Normalize" norm_param { scale_filler { type: "constant" value: 20 } }')
    (definition,) = layer.param_defs([(2, 3, 4, 5)])
    assert (definition.shape, definition.filler.value) == ((), 20)
    with pytest.raises(ShapeError, match="Number of axes of bottom blob must be >=2"):
        layer.out_shapes([(3,)])
    with pytest.raises(ShapeError, match="legacy accessors"):
        layer.out_shapes([(1, 2, 3, 4, 5)])

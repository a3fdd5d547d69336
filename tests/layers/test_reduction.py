from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import NetError


@few
@given(shapes(), st.sampled_from(["SUM", "ASUM", "SUMSQ", "MEAN"]), seeds, st.data())
def test_any_operation(shape: tuple[int, ...], operation: str, seed: int, data: st.DataObject) -> None:
    axis = data.draw(axes(shape))
    coeff = data.draw(st.sampled_from([1, 0.5, -3, 0]))
    layer = parse(
        f'type: "Reduction" reduction_param {{ operation: {operation} axis: {axis} coeff: {coeff} }}'
    )
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape))], atol=2e-5)
    check_gradient(layer, [x])


def test_the_default_is_the_sum_of_all() -> None:
    layer = parse('type: "Reduction"')
    x = values(0, (2, 3, 4), low=0)
    (y,) = check_forward(layer, [x])
    assert y.shape == ()
    np.testing.assert_allclose(y, x.sum(), rtol=1e-6)


def test_the_slope_of_a_magnitude_is_0_at_0() -> None:
    layer = parse('type: "Reduction" reduction_param { operation: ASUM }')
    x = np.array([-2, 0, 3], np.float32)
    (dx,) = run_gradient(layer, [x], [], [np.float32(0.5).reshape(())])
    np.testing.assert_array_equal(dx, [-0.5, 0, 0.5])


def test_a_scalar_has_no_axis() -> None:
    with pytest.raises(NetError, match="axis 0 out of range"):
        parse('type: "Reduction"').out_shapes([()])

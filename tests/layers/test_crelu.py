"""CReLU: against its reference and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import NetError


@few
@given(shapes(), st.sampled_from([0, 0.25]), seeds, st.data())
def test_forward(shape: tuple[int, ...], slope: float, seed: int, data: st.DataObject) -> None:
    axis = data.draw(axes(shape))
    layer = parse(f'type: "CReLU" crelu_param {{ concat_axis: {axis} negative_slope: {slope} }}')
    check_forward(layer, [values(seed, shape)], dims=[data.draw(freed(shape))])


def test_by_hand() -> None:
    x = np.array([[1, -2, 3]], np.float32)
    (top,) = check_forward(parse('type: "CReLU"'), [x])
    np.testing.assert_array_equal(top, [[1, 0, 3, 0, 2, 0]])
    (leaky,) = check_forward(parse('type: "CReLU" crelu_param { negative_slope: 0.5 }'), [x])
    np.testing.assert_array_equal(leaky, [[1, -1, 3, -0.5, 2, -1.5]])


def test_an_axis_must_exist() -> None:
    with pytest.raises(NetError, match="axis 1 out of range"):
        parse('type: "CReLU"').out_shapes([(3,)])
    assert not parse('type: "CReLU"').has_gradient

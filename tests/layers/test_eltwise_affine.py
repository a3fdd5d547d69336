"""EltwiseAffine: against its reference, channel by channel, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import ShapeError
from vggrepro.layers.base import Layer


def affine(text: str = "") -> Layer:
    return parse(f'type: "EltwiseAffine" eltwise_affine_param {{ {text} }}')


@few
@given(shapes(least=2), st.booleans(), seeds, st.data())
def test_channel_by_channel(shape: tuple[int, ...], shared: bool, seed: int, data: st.DataObject) -> None:
    layer, x = affine(f"channel_shared: {str(shared).lower()}"), values(seed, shape)
    slope, bias = (values(seed + i, () if shared else (shape[1],)) for i in (1, 2))
    (top,) = check_forward(layer, [x], [slope, bias], dims=[data.draw(freed(shape))])
    for channel in range(shape[1]):
        at = () if shared else channel
        np.testing.assert_allclose(top[:, channel], slope[at] * x[:, channel] + bias[at], atol=1e-6)
    check_gradient(layer, [x], [slope, bias])


def test_where_slopes_and_biases_begin() -> None:
    slope, bias = affine().param_defs([(2, 3, 4, 5)])
    assert slope.shape == bias.shape == (3,)
    assert (slope.filler.value, bias.filler.value) == pytest.approx((1.0001, 0.0001))
    slope, bias = affine("slope_filler { value: 2 } channel_shared: true").param_defs([(2, 3)])
    assert (slope.shape, slope.filler.value) == ((), 2)


def test_needs_two_axes() -> None:
    with pytest.raises(ShapeError, match=">=2"):
        affine().out_shapes([(3,)])

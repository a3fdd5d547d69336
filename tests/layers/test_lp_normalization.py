"""LpNormalization: against its reference and NumPy's norms."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import UnsupportedError


@few
@given(shapes(), st.sampled_from([1, 2]), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], p: int, seed: int, data: st.DataObject) -> None:
    axis = data.draw(axes(shape))
    layer = parse(f'type: "LpNormalization" lp_normalization_param {{ axis: {axis} p: {p} }}')
    x = values(seed, shape, -3, 3)
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(shape))])
    sizes = (np.abs(x.astype(float)) ** p).sum(axis, keepdims=True) ** (1 / p)
    np.testing.assert_allclose(top, x / sizes, rtol=1e-5)


def test_refuses() -> None:
    for text in ("p: 2", "axis: 1", "axis: 1 p: 3"):
        with pytest.raises(UnsupportedError, match="must be given"):
            parse(f'type: "LpNormalization" lp_normalization_param {{ {text} }}')

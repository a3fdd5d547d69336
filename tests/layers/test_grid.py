"""Grid: against its reference and by counting."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import ShapeError

LAYER = parse('type: "Grid"')


@few
@given(st.tuples(*[st.integers(1, 5)] * 4), st.booleans(), seeds)
def test_counts(shape: tuple[int, ...], free: bool, seed: int) -> None:
    dims = (None if free else shape[0], *shape[1:])
    (top,) = check_forward(LAYER, [values(seed, shape)], dims=[dims])
    assert top.shape == (shape[0], 2, *shape[2:])
    for n, row, column in np.ndindex(shape[0], *shape[2:]):
        assert top[n, :, row, column].tolist() == [column, row]


def test_no_gradient_flows() -> None:
    assert run_gradient(LAYER, [values(0, (1, 3, 2, 2))], [], [values(1, (1, 2, 2, 2))]) == [None]


def test_needs_four_axes() -> None:
    with pytest.raises(ShapeError, match="must have 4 axes"):
        LAYER.out_shapes([(2, 3)])

"""ChannelNorm: against its reference, and at a vector of zeros."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import ShapeError

LAYER = 'type: "ChannelNorm"'


@few
@given(st.tuples(*[st.integers(1, 4)] * 4), seeds, st.data())
def test_lengths(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = values(seed, shape)
    (y,) = check_forward(parse(LAYER), [x], dims=[data.draw(freed(shape))])
    assert y.shape == (shape[0], 1, *shape[2:])
    for n, i, j in np.ndindex(shape[0], *shape[2:]):
        assert y[n, 0, i, j] == pytest.approx(np.linalg.norm(x[n, :, i, j]), rel=1e-5)
    check_gradient(parse(LAYER), [x])


def test_the_gradient_at_zeros_is_zero() -> None:
    (gradient,) = run_gradient(
        parse(LAYER), [np.zeros((1, 3, 2, 2), np.float32)], [], [np.ones((1, 1, 2, 2), np.float32)]
    )
    assert gradient is not None and not gradient.any()


def test_needs_four_axes() -> None:
    with pytest.raises(ShapeError, match="must have 4 axes"):
        parse(LAYER).out_shapes([(2, 3)])

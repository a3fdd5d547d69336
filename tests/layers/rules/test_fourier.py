"""Fourier transforms of rows."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.layers.rules.fourier import Fourier


@pytest.mark.parametrize(
    ("size", "factors"), [(1, (1, 1)), (6, (2, 3)), (7, (1, 7)), (16, (4, 4)), (16000, (125, 128))]
)
def test_factors_are_near_to_each_other(size: int, factors: tuple[int, int]) -> None:
    assert Fourier(size).factors == factors
    assert np.prod(factors) == size

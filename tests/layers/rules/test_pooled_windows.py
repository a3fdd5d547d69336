"""One window of each plane, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.layers.rules.pooled_windows import first_index, pooled
from vggrepro.layers.rules.window import Span

WINDOW = np.array([[1.0, 3], [0, 4]])[None, None]


@pytest.mark.parametrize(("method", "expected"), [("MAX", 4), ("AVE", 8 / 6), ("STOCHASTIC", 26 / 8)])
def test_the_value_of_a_window(method: str, expected: float) -> None:
    np.testing.assert_allclose(pooled(method, WINDOW, 6), [[expected]])


def test_a_window_without_weight_gives_nothing() -> None:
    np.testing.assert_array_equal(pooled("STOCHASTIC", -WINDOW, 4), [[0]])


def test_the_index_is_that_of_the_plane() -> None:
    row, column = Span(2, 4, 2), Span(5, 7, 2)
    np.testing.assert_array_equal(first_index(WINDOW, row, column, 10), [[36]])
    np.testing.assert_array_equal(first_index(WINDOW[:, :, :0], row, column, 10), [[-1]])

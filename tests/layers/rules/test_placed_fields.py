"""Fields around places: centres, sides, bounds of codes."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.errors import NetError
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.placed_fields import PlacedFields


def test_grid() -> None:
    centres, sides = PlacedFields(((30, 20), (8, 9)), 8, None).grid((2, 3))
    assert centres.tolist() == [[4, 12, 20] * 2, [4] * 3 + [12] * 3]
    assert sides.tolist() == [[[30], [20]], [[8], [9]]]


def test_limits() -> None:
    fields = PlacedFields(((30, 20),), 8, (4, 2))
    low, high = fields.limits(BoxStatistics())
    np.testing.assert_allclose(high[:, 0], [0.25, 0.25, np.log(2), np.log(2)])
    np.testing.assert_array_equal(low, -high)
    low, high = fields.limits(BoxStatistics((0.1, 0.3, 0, 0), (0.25, 1, 2, 2)))
    np.testing.assert_allclose(
        high[:2, 0], (0.25 - 0.2) / 0.5
    )  # the mean of both means, over both deviations
    np.testing.assert_allclose(low[2:, 0], -np.log(2) / 2)
    assert PlacedFields(((30, 20),), 8, None).limits(BoxStatistics()) is None


def test_refuses() -> None:
    for sides, stride, bounds in (((), 8, None), (((3, 0),), 8, None), (((3, 3),), 0, None)):
        with pytest.raises(NetError, match="needs the sides of fields"):
            PlacedFields(sides, stride, bounds)
    for bounds in ((0, 2), (1, 0.5)):
        with pytest.raises(NetError, match="field_xyr must be above 0, field_whr at least 1"):
            PlacedFields(((3, 3),), 8, bounds)

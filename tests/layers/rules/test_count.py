"""Numbers of bottoms and tops."""

from __future__ import annotations

import pytest

from vggrepro.layers.rules.count import Count, at_least, exactly


@pytest.mark.parametrize(
    ("count", "number", "limit"),
    [(exactly(2), 1, "2"), (at_least(1), 0, "at least 1"), (Count(1, 3), 4, "at most 3")],
)
def test_limits(count: Count, number: int, limit: str) -> None:
    assert number not in count
    assert count.least in count
    assert count.limit(number) == limit

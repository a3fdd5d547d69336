"""Windows along one axis taken apart, and put together again."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.window_positions import WindowPositions

CASES = [
    # size, kernel, stride, pad, count
    (7, 3, 2, 0, 3),
    (7, 3, 2, 1, 4),
    (6, 2, 3, 0, 2),
    (5, 5, 1, 0, 1),
    (8, 3, 1, 1, 8),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "count"), CASES)
def test_elements_and_the_way_back(size: int, kernel: int, stride: int, pad: int, count: int) -> None:
    """Putting ones back counts the windows that hold each element."""
    windows = WindowPositions((-1, 2, size, 3), 2, kernel, stride, pad, count)
    x = np.random.default_rng(0).standard_normal((2, 2, size, 3)).astype(np.float32)
    g = GraphBuilder()
    elements = windows.elements(g, "x", kernel)
    ones = windows.by_window(g, "ones")
    names = [*elements, windows.put_back(g, [ones] * kernel), windows.from_windows(g, ones)]
    feeds = {"x": x, "ones": np.ones((2, 2, count, 3), np.float32)}
    *taken, counts, back = run_nodes(g, feeds, names)
    expected = np.zeros(size)
    for position, values in enumerate(taken):
        values = values.reshape(2, 2, count, 3)
        for window in range(count):
            place = window * stride - pad + position
            if 0 <= place < size:
                np.testing.assert_array_equal(values[:, :, window], x[:, :, place])
                expected[place] += 1
            else:
                assert values[:, :, window].max() < -1e38
    np.testing.assert_array_equal(counts[0, 0, :, 0], expected)
    np.testing.assert_array_equal(back, feeds["ones"])


def test_only_the_first_maximum_of_a_window_gets_the_share() -> None:
    windows = WindowPositions((-1, 4), 1, 2, 2, 0, 2)
    g = GraphBuilder()
    best, share = windows.by_window(g, "best"), windows.by_window(g, "share")
    shares = windows.first_maximum(g, "x", best, share)
    feeds = {"x": np.float32([[5, 5, 1, 2]]), "best": np.float32([[5, 2]]), "share": np.float32([[10, 20]])}
    (value,) = run_nodes(g, feeds, [windows.put_back(g, shares)])
    assert value.tolist() == [[10, 0, 0, 20]]

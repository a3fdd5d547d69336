"""Convolutions with turned filters, and when they pay."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.turned import (
    LEAST_CHANNELS,
    pays,
    transposed_forward,
    turned_by_product,
    turned_filters,
)
from vggrepro.layers.rules.window import Windows

PLAIN = Windows((3, 3), (1, 1), (1, 1), (1, 1))


@pytest.mark.parametrize("pad", [(0, 0), (1, 1), (2, 1), (0, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_transposed_convolution_gives_what_the_convolution_gives(pad: tuple[int, int], bias: bool) -> None:
    windows = Windows((3, 3), (1, 1), pad, (1, 1))
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 5, 7), np.float32), rng.standard_normal((6, 4, 3, 3), np.float32)
    feeds = {"x": x, "w": w, "b": rng.standard_normal(6, np.float32)}
    y_shape = (2, 6, *(size + 2 * p - 2 for size, p in zip(x.shape[2:], pad, strict=True)))
    g = GraphBuilder()
    plain = Correlation(x.shape, y_shape, windows, 1).forward(g, "x", "w")
    params = ["w", "b"] if bias else ["w"]
    transposed = transposed_forward(g, Value("x", x.shape), params, 6, windows)
    got, expected = run_nodes(g, feeds, [transposed, plain])
    expected = expected + feeds["b"].reshape(1, -1, 1, 1) if bias else expected
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_filters_of_groups_are_turned_within_them() -> None:
    w = np.arange(4 * 3 * 2 * 2, dtype=np.float32).reshape(4, 3, 2, 2)
    g = GraphBuilder()
    (got,) = run_nodes(g, {"w": w}, [turned_filters(g, "w", 4, 6, 2, (2, 2))])
    groups = [part.swapaxes(0, 1)[..., ::-1, ::-1] for part in np.split(w, 2)]
    np.testing.assert_array_equal(got, np.concatenate(groups))


def test_a_product_turns_filters_to_the_same_bits() -> None:
    w = np.random.default_rng(0).standard_normal((4, 6, 3, 2), np.float32)
    g = GraphBuilder()
    product, plain = turned_by_product(g, "w", 4, 6, (3, 2)), turned_filters(g, "w", 4, 6, 1, (3, 2))
    got, expected = run_nodes(g, {"w": w}, [product, plain])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("windows", "group", "channels", "places", "expected"),
    [
        (PLAIN, 1, (64, 64), (28, 28), True),
        (PLAIN, 1, (64, 64), (None, None), True),
        (PLAIN, 1, (64, 64), (14, 14), False),
        (PLAIN, 1, (3, 64), (224, 224), False),
        (PLAIN, 1, (64, LEAST_CHANNELS - 1), (224, 224), False),
        (PLAIN, 1, (None, 64), (28, 28), False),
        (PLAIN, 2, (64, 64), (28, 28), False),
        (Windows((5, 5), (1, 1), (2, 2), (1, 1)), 1, (64, 64), (28, 28), False),
        (Windows((3, 3), (2, 2), (1, 1), (1, 1)), 1, (64, 64), (28, 28), False),
    ],
)
def test_where_it_pays(
    windows: Windows,
    group: int,
    channels: tuple[int | None, int],
    places: tuple[int | None, int | None],
    expected: bool,
) -> None:
    assert pays(windows, group, channels, places) is expected

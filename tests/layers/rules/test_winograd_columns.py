"""Minimal filtering along the columns against plain sums in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from winograd_cases import computed, plain

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules import winograd_columns
from vggrepro.layers.rules.window import Windows


def run(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, pad: tuple[int, int], free: set[int]
) -> np.ndarray:
    """The convolution in a graph that knows all sizes of x but those of the axes ``free``."""
    g = GraphBuilder()
    g.reserve("x")
    params = [g.const(array) for array in (weight, bias) if array is not None]
    dims = tuple(None if axis in free else size for axis, size in enumerate(x.shape))
    windows = Windows(weight.shape[2:], (1, 1), pad, (1, 1))
    return computed(g, winograd_columns.forward(g, Value("x", dims), params, windows), {"x": x}, {"x": dims})


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, int]]:
    """Shapes of x and of the weight, and the padding."""
    kernel = (draw(st.integers(1, 7)), draw(st.sampled_from([5, 7])))
    pad = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    sizes = [draw(st.integers(max(k - 2 * p, 1), 13)) for k, p in zip(kernel, pad, strict=True)]
    images, channels, outputs = (draw(st.integers(1, 4)) for _ in "nck")
    return (images, channels, *sizes), (outputs, channels, *kernel), pad


@given(
    case=shapes(),
    free=st.sets(st.sampled_from([0, 2, 3])),
    seed=st.integers(0, 2**32 - 1),
    biased=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_equals_plain_sums(
    case: tuple[tuple[int, ...], tuple[int, ...], tuple[int, int]], free: set[int], seed: int, biased: bool
) -> None:
    """Rounding stays below a share of what the largest sum would be without signs."""
    (of_x, of_weight, pad), rng = case, np.random.default_rng(seed)
    x, weight, bias = (
        rng.standard_normal(shape).astype(np.float32) for shape in (of_x, of_weight, of_weight[0])
    )
    expected = plain(x, weight, pad) + (bias.reshape(-1, 1, 1) if biased else 0)
    bound = np.abs(bias).max() + plain(np.abs(x), np.abs(weight), pad).max()
    found = run(x, weight, bias if biased else None, pad, free)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * bound)


@pytest.mark.parametrize("width", [5, 7])
def test_rounding_of_many_channels(width: int) -> None:
    """At most 4 times the largest error of direct sums."""
    rng = np.random.default_rng(width)
    x = np.maximum(rng.standard_normal((1, 256, width + 4, width + 9), np.float32), 0)
    weight = rng.standard_normal((32, 256, width, width), np.float32)
    g = GraphBuilder()
    g.reserve("x")
    direct = computed(g, g.op("Conv", "x", g.const(weight)), {"x": x})
    expected = plain(x, weight, (0, 0))
    errors = [np.abs(y - expected).max() for y in (run(x, weight, None, (0, 0), {0, 2, 3}), direct)]
    assert errors[0] < 4 * errors[1]


@pytest.mark.parametrize("channels", [16, 5])
def test_a_result_does_not_depend_on_the_batch(channels: int) -> None:
    """To the last bit."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, channels, 9, 12), np.float32)
    weight = rng.standard_normal((32, channels, 7, 7), np.float32)
    whole = run(x, weight, None, (0, 0), {0, 2, 3})
    for image in range(5):
        np.testing.assert_array_equal(
            run(x[image : image + 1], weight, None, (0, 0), {0, 2, 3})[0], whole[image]
        )


@pytest.mark.parametrize(
    ("windows", "group", "held"),
    [
        (Windows((7, 7), (1, 1), (0, 0), (1, 1)), 1, True),
        (Windows((1, 5), (1, 1), (0, 2), (1, 1)), 1, True),
        (Windows((7, 3), (1, 1), (0, 0), (1, 1)), 1, False),
        (Windows((5, 5), (1, 2), (2, 2), (1, 1)), 1, False),
        (Windows((5, 5), (1, 1), (2, 2), (2, 1)), 1, False),
        (Windows((5, 5), (1, 1), (2, 2), (1, 1)), 2, False),
        (Windows((5,), (1,), (2,), (1,)), 1, False),
    ],
)
def test_where_it_holds(windows: Windows, group: int, held: bool) -> None:
    assert winograd_columns.holds(windows, group) == held


@pytest.mark.parametrize(
    ("channels", "outputs", "images", "sizes", "faster"),
    [
        (512, 4096, None, (None, None), True),
        (512, 4096, 1, (6, 10), False),
        (64, 64, 1, (56, 56), True),
        (64, 64, 8, (8, 8), True),
        (32, 64, None, (None, None), False),
        (100, 128, None, (None, None), False),
        (128, 100, None, (None, None), False),
    ],
)
def test_when_it_saves_time(
    channels: int, outputs: int, images: int | None, sizes: tuple[int | None, int | None], faster: bool
) -> None:
    assert winograd_columns.saves_time(channels, outputs, images, sizes) == faster

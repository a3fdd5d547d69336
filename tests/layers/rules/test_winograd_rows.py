"""Minimal filtering along the rows against plain sums in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from winograd_cases import arrays, computed, maps, plain

from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.layers.rules import winograd_rows
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.window import Windows


def run(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, pad: tuple[int, int]) -> np.ndarray:
    g = GraphBuilder()
    g.reserve("x")
    params = [g.const(array) for array in (weight, bias) if array is not None]
    windows = Windows((3, 3), (1, 1), pad, (1, 1))
    y = winograd_rows.forward(g, Value("x", x.shape), params, len(weight), windows)
    return computed(g, y, {"x": x})


@given(map_=maps(), seed=st.integers(0, 2**32 - 1), biased=st.booleans())
@settings(max_examples=60, deadline=None)
def test_equals_plain_sums(map_: Correlation, seed: int, biased: bool) -> None:
    """Rounding stays below a share of what the largest sum would be without signs."""
    x, _, weight = arrays(map_, seed)
    x, pad = x[:1], map_.windows.pad
    bias = np.linspace(-1, 1, len(weight), dtype=np.float32) if biased else None
    expected = plain(x, weight, pad) + (bias[:, np.newaxis, np.newaxis] if biased else 0)
    found = run(x, weight, bias, pad)
    assert found.shape == expected.shape
    bound = plain(np.abs(x), np.abs(weight), pad).max() + 1
    assert np.abs(found - expected).max() <= 2e-6 * bound


def test_many_channels() -> None:
    """The errors hardly add up."""
    x, weight = (np.random.default_rng(n).standard_normal((64, 64, 9, 9), np.float32) for n in (0, 1))
    x, weight = x[:1], np.ascontiguousarray(weight[..., :3, :3])
    expected = plain(x, weight, (1, 1))
    assert np.abs(run(x, weight, None, (1, 1)) - expected).max() <= 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("channels", "outputs", "images", "sizes", "faster"),
    [
        (64, 64, 1, (224, 224), True),
        (64, 64, 1, (56, 56), True),
        (64, 64, 2, (224, 224), False),
        (64, 64, None, (224, 224), False),
        (64, 64, 1, (None, 224), False),
        (64, 64, 1, (28, 27), False),
        (48, 64, 1, (224, 224), False),
        (64, 100, 1, (224, 224), False),
    ],
)
def test_when_it_saves_time(
    channels: int, outputs: int, images: int | None, sizes: Dims, faster: bool
) -> None:
    assert winograd_rows.saves_time(channels, outputs, images, sizes) is faster

"""The gradients by minimal filtering against plain sums in float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from winograd_cases import arrays, computed, maps

from vggrepro.emit import GraphBuilder, RuleSet
from vggrepro.layers.rules import winograd, winograd_gradients
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.window import Windows

some = settings(max_examples=60, deadline=None)


@given(
    points=st.lists(st.fractions(-3, 3, max_denominator=4), min_size=1, max_size=6, unique=True),
    data=st.data(),
    seed=st.integers(0, 2**32 - 1),
)
def test_matrices_correlate(points: list[Fraction], data: st.DataObject, seed: int) -> None:
    taps = data.draw(st.integers(1, len(points) + 1))
    outputs = len(points) + 2 - taps
    a, g, b = winograd.toom_cook(tuple(points), outputs, taps)
    rng = np.random.default_rng(seed)
    filter_, signal = rng.standard_normal(taps), rng.standard_normal(len(points) + 1)
    expected = np.correlate(signal, filter_, "valid")
    np.testing.assert_allclose(a @ ((g @ filter_) * (b @ signal)), expected, rtol=1e-6, atol=1e-6)


def run(map_: Correlation, gradient: str, rules: RuleSet | None = None, **feeds: np.ndarray) -> np.ndarray:
    """The minimal rule for ``gradient``, whatever the direct one would cost."""
    g = GraphBuilder(rules)
    for name in feeds:
        g.reserve(name)
    of_weight = winograd_gradients.weight_gradient
    rule = winograd_gradients.input_gradient if gradient == "input" else of_weight
    return computed(g, rule(g, *feeds, map_.x, map_.y, map_.windows.pad), feeds)


def plain_sums(
    map_: Correlation, x: np.ndarray, dy: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both gradients in float64, tap by tap."""
    (p, q), (height, width) = map_.windows.pad, map_.y[2:]
    padded = np.pad(np.asarray(x, np.float64), [(0, 0), (0, 0), (p, p), (q, q)])
    d_padded, d_weight = np.zeros_like(padded), np.zeros(weight.shape)
    for i, j in np.ndindex(3, 3):
        seen = (..., slice(i, i + height), slice(j, j + width))
        d_padded[seen] += np.einsum("nkhw,kc->nchw", np.asarray(dy, np.float64), weight[:, :, i, j])
        d_weight[:, :, i, j] = np.einsum("nkhw,nchw->kc", np.asarray(dy, np.float64), padded[seen])
    rows, columns = padded.shape[2] - p, padded.shape[3] - q
    return d_padded[:, :, p:rows, q:columns], d_weight


def check(map_: Correlation, seed: int, share: float = 5e-6) -> None:
    """Rounding stays below a ``share`` of what the largest sum would be without signs."""
    x, dy, weight = arrays(map_, seed)
    expected = plain_sums(map_, x, dy, weight)
    bounds = plain_sums(map_, np.abs(x), np.abs(dy), np.abs(weight))
    got = run(map_, "input", dy=dy, weight=weight), run(map_, "weight", x=x, dy=dy)
    for found, true, bound in zip(got, expected, bounds, strict=True):
        np.testing.assert_allclose(found, true, rtol=0, atol=share * bound.max())
    on_cuda = run(map_, "weight", "cuda", x=x, dy=dy)
    np.testing.assert_allclose(on_cuda, expected[1], rtol=0, atol=share * bounds[1].max())


@given(map_=maps(), seed=st.integers(0, 2**32 - 1))
@some
def test_gradients_equal_plain_sums(map_: Correlation, seed: int) -> None:
    check(map_, seed)


def test_a_few_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd_gradients, "CHUNK", 24 * 2 * 4 * (3 + 2) * 2)  # two images of 2 x 4 tiles
    map_ = Correlation((5, 3, 7, 7), (5, 2, 7, 7), Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    check(map_, 0)


def test_many_channels() -> None:
    """Over 256 channels the errors hardly add up."""
    map_ = Correlation((2, 256, 14, 14), (2, 256, 14, 14), Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    check(map_, 0, share=5e-7)


@pytest.mark.parametrize(
    ("windows", "group"),
    [
        (Windows((3, 3), (2, 1), (1, 1), (1, 1)), 1),
        (Windows((3, 3), (1, 1), (1, 1), (1, 2)), 1),
        (Windows((3, 3), (1, 1), (3, 1), (1, 1)), 1),
        (Windows((3, 5), (1, 1), (1, 1), (1, 1)), 1),
        (Windows((3,), (1,), (1,), (1,)), 1),
        (Windows((3, 3), (1, 1), (1, 1), (1, 1)), 2),
    ],
)
def test_other_convolutions_are_left_alone(windows: Windows, group: int) -> None:
    assert winograd.holds(Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    assert not winograd.holds(windows, group)


@pytest.mark.parametrize(
    ("channels", "outputs", "products", "faster"),
    [(256, 256, 9 * 50, True), (256, 256, 9 * 50 + 1, False), (64, 128, 100, False), (96, 96, 100, True)],
)
def test_when_it_saves_time(channels: int, outputs: int, products: int, faster: bool) -> None:
    assert winograd.saves_time(channels, outputs, products, 100, 48) == faster

"""Minimal filtering forward against plain sums in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from winograd_cases import arrays, computed, maps

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules import winograd_forward
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.window import Windows

PLAIN = Windows((3, 3), (1, 1), (1, 1), (1, 1))


def run(
    map_: Correlation, x: np.ndarray, weight: np.ndarray, free: Sequence[int], *, constant: bool = True
) -> np.ndarray:
    """The correlation in a graph that knows all sizes of x but those of the axes ``free``. The weight is a
    constant of the graph, as in a session of a net, or an input, as in a training step."""
    g = GraphBuilder()
    for name in ("x", "weight"):
        g.reserve(name)
    dims = tuple(None if axis in free else size for axis, size in enumerate(map_.x))
    filters = g.const(weight) if constant else "weight"
    y = winograd_forward.forward(g, Value("x", dims), [filters], len(weight), map_.windows)
    feeds = {"x": x} if constant else {"x": x, "weight": weight}
    return computed(g, y, feeds, {"x": dims})


def check(
    map_: Correlation, seed: int, free: Sequence[int] = (), share: float = 5e-6, *, constant: bool = True
) -> None:
    """Rounding stays below a ``share`` of what the largest sum would be without signs."""
    x, _, weight = arrays(map_, seed)
    expected, bound = (plain_correlation(map_, f(x), f(weight)) for f in (np.positive, np.abs))
    found = run(map_, x, weight, free, constant=constant)
    assert found.shape == map_.y
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * bound.max())


def plain_correlation(map_: Correlation, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """In float64, tap by tap."""
    (p, q), (height, width) = map_.windows.pad, map_.y[2:]
    padded = np.pad(np.asarray(x, np.float64), [(0, 0), (0, 0), (p, p), (q, q)])
    return sum(
        np.einsum("nchw,kc->nkhw", padded[:, :, i : i + height, j : j + width], weight[:, :, i, j])
        for i, j in np.ndindex(3, 3)
    )


@pytest.mark.parametrize("one_by_one", [True, False])
@given(
    map_=maps(),
    free=st.sets(st.sampled_from([0, 2, 3])),
    seed=st.integers(0, 2**32 - 1),
    constant=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_equals_plain_sums(
    one_by_one: bool, map_: Correlation, free: set[int], seed: int, constant: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_forward, "KEPT", math.inf if one_by_one else 0)
        check(map_, seed, sorted(free), constant=constant)


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(("channels", "outputs"), [(80, 48), (70, 50)])
def test_a_result_does_not_depend_on_the_batch(
    monkeypatch: pytest.MonkeyPatch, channels: int, outputs: int, constant: bool
) -> None:
    """To the last bit, however many images there are, and also where they are not taken one by one."""
    monkeypatch.setattr(winograd_forward, "KEPT", 0)
    map_ = Correlation((5, channels, 9, 11), (5, outputs, 9, 11), PLAIN, 1)
    x, _, weight = arrays(map_, 0)
    whole = run(map_, x, weight, [0, 2, 3], constant=constant)
    for image in range(5):
        alone = run(map_, x[image : image + 1], weight, [0, 2, 3], constant=constant)
        np.testing.assert_array_equal(alone[0], whole[image])


def test_a_few_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd_forward, "CHUNK", 36 * 2 * 2 * (3 + 2) * 2)  # two images of 2 x 2 tiles
    check(Correlation((5, 3, 7, 7), (5, 2, 7, 7), PLAIN, 1), 0)


def test_many_channels() -> None:
    """The errors hardly add up."""
    check(Correlation((2, 256, 14, 14), (2, 256, 14, 14), PLAIN, 1), 0, share=5e-7)


@pytest.mark.parametrize(
    ("channels", "outputs", "sizes", "faster"),
    [
        (64, 128, (112, 112), True),
        (64, 64, (224, 224), False),
        (512, 512, (None, None), True),
        (512, 512, (7, 7), True),
        (512, 512, (5, 5), False),
        (48, 64, (224, 224), False),
        (3, 64, (None, None), False),
        (100, 128, (56, 56), False),
        (128, 100, (56, 56), False),
    ],
)
def test_when_it_saves_time(
    channels: int, outputs: int, sizes: tuple[int | None, int | None], faster: bool
) -> None:
    assert winograd_forward.saves_time(channels, outputs, sizes) == faster

"""MIL: against its reference, loops over bags and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def mil(text: str) -> Layer:
    return parse(f'type: "MIL" mil_param {{ {text} }}')


@few
@given(st.sampled_from(["MAX", "NOR"]), seeds, st.data())
def test_places_of_maps(kind: str, seed: int, data: st.DataObject) -> None:
    p = values(seed, (2, 3, 4, 5), 0.02, 0.98)
    (top,) = check_forward(mil(f"type: {kind}"), [p], dims=[data.draw(freed(p.shape, but=(1,)))])
    assert top.shape == (2, 3, 1, 1)
    for n, c in np.ndindex(2, 3):
        none = 1.0
        for place in p[n, c].reshape(-1):
            none *= 1 - float(place)
        want = max(1 - none, p[n, c].max()) if kind == "NOR" else p[n, c].max()
        assert top[n, c, 0, 0] == pytest.approx(want, rel=1e-5)


def test_gradients_of_maps() -> None:
    rng = np.random.default_rng(0)
    few_places = rng.uniform(0.1, 0.6, (2, 3, 1, 2)).astype(np.float32)  # any_place far from its maximum
    check_gradient(mil("type: NOR"), [few_places])
    check_gradient(mil("type: MAX"), [rng.permutation(24).reshape(1, 2, 3, 4).astype(np.float32)])


@few
@given(st.integers(1, 4), st.integers(1, 3), st.booleans(), seeds, st.data())
def test_neighbouring_items(items: int, bags: int, four: bool, seed: int, data: st.DataObject) -> None:
    x = values(seed, (items * bags, 3, *[1] * (2 * four)))
    (top,) = check_forward(mil(f"context_per_roi: {items}"), [x], dims=[data.draw(freed(x.shape, but=(1,)))])
    assert top.shape == (bags, 3, 1, 1)
    for bag in range(bags):
        own = x[bag * items : (bag + 1) * items].reshape(items, 3)
        assert top[bag].reshape(-1).tolist() == own.max(0).tolist()
    check_gradient(mil(f"context_per_roi: {items}"), [x])


def test_all_that_are_the_largest_get_the_gradient() -> None:
    x = np.float32([[1, 2], [1, 0], [0, 2]])
    (dx,) = run_gradient(mil("context_per_roi: 3"), [x], [], [np.float32([5, 7]).reshape(1, 2, 1, 1)])
    assert dx.tolist() == [[5, 7], [5, 0], [0, 7]]


def test_refuses() -> None:
    for text in ("", "type: MAX context_per_roi: 2"):
        with pytest.raises(NetError, match="or context_per_roi"):
            mil(text)
    with pytest.raises(NetError, match="must be positive"):
        mil("context_per_roi: 0")
    with pytest.raises(ShapeError, match=r"\(bags \* 3, C\)"):
        mil("context_per_roi: 3").out_shapes([(4, 2)])
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\)"):
        mil("type: MAX").out_shapes([(4, 2)])

"""HardMining: against its reference, by hand, and what is chosen in any case."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer

TEXT = 'type: "HardMining" top: "a" top: "b" hard_mining_param { num_roi_per_image: %d num_image: %d } '


def regions(items: list[int]) -> np.ndarray:
    rows = values(1, (len(items), 5))
    rows[:, 0] = items
    return rows


def mined(layer: Layer, scores: list[float], items: list[int]) -> list[int]:
    """The indices of the chosen rows."""
    marks = np.arange(len(items), dtype=np.float32)
    bottoms = [np.float32(scores), regions(items), marks]
    rows, chosen = check_forward(layer, bottoms)
    np.testing.assert_array_equal(rows[:, :, 0, 0], bottoms[1][chosen[:, 0, 0, 0].astype(int)])
    return [int(i) for i in chosen[:, 0, 0, 0]]


def test_by_hand() -> None:
    """Image 0 has three of which two stay, image 1 one; the largest of the others is the fourth."""
    assert mined(parse(TEXT % (2, 2)), [1, 5, 3, 4, 2], [0, 0, 0, 1, 0]) == [1, 2, 3, 4]
    assert mined(parse(TEXT % (1, 2)), [1, 5, 3, 4, 2], [0, 0, 0, 1, 0]) == [1, 3]


def test_of_equal_scores_the_later_one_is_chosen() -> None:
    assert mined(parse(TEXT % (2, 1)), [7, 7, 7, 7], [0] * 4) == [2, 3]


@few
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), seeds)
def test_of_each_image_the_largest(count: int, each: int, images: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, items = rng.integers(0, 6, count), rng.integers(0, images, count)
    chosen = mined(parse(TEXT % (each, images)), list(scores), list(items))
    assert chosen == sorted(set(chosen)) and len(chosen) == min(each * images, count)
    for item in range(images):
        own = [i for i in range(count) if items[i] == item]
        got = [i for i in own if i in chosen]
        assert len(got) >= min(each, len(own))
        assert min([scores[i] for i in got], default=9) >= max(
            [scores[i] for i in own if i not in chosen], default=0
        )


def test_shapes_and_gradient() -> None:
    layer = parse(TEXT % (3, 4))
    assert layer.out_shapes([(20, 1, 1, 1), (20, 5), (20, 2, 3)]) == ((12, 5, 1, 1), (12, 2, 3, 1))
    bottoms = [np.ones(2, np.float32), regions([0, 0]), np.ones((2, 1), np.float32)]
    d_tops = [np.ones((2, 5, 1, 1), np.float32), np.ones((2, 1, 1, 1), np.float32)]
    assert run_gradient(layer, bottoms, [], d_tops) == [None] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_image: 1", "num_roi_per_image and num_image must be given"),
        ("num_image: 1 num_roi_per_image: 0", "and above 0"),
        ("num_image: 1 num_roi_per_image: 1 } propagate_down: false propagate_down: true #", "must be false"),
        ("num_image: 1 num_roi_per_image: 1 } bottom: 'x' bottom: 'r' #", r"\(2 vs. 3\)"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(f'type: "HardMining" top: "a" top: "b" hard_mining_param {{ {text}\n }}'.replace("#\n }", ""))


@pytest.mark.parametrize("bottoms", [[(4,), (3, 5)], [(4, 2), (4, 5)], [(4,), (4, 4)], [(4,), (4,)]])
def test_refuses_shapes(bottoms: list[tuple[int, ...]]) -> None:
    with pytest.raises(ShapeError, match="HardMining: bottom"):
        parse(TEXT % (1, 1)).out_shapes(bottoms)

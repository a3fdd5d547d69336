"""CTCDecoder: against its reference, and paths written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def decoder(text: str, bottoms: int = 1, tops: int = 1) -> Layer:
    named = " ".join(f'bottom: "b{index}"' for index in range(bottoms))
    named += " ".join(f' top: "t{index}"' for index in range(tops))
    return parse(f'type: "CTCDecoder" {named} {text}')


def scores_of(paths: list[list[int]], classes: int) -> np.ndarray:
    """(N, T, C) in which each step's label of a path is the likeliest."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, (len(paths), len(paths[0]), classes))
    np.put_along_axis(scores, np.array(paths)[..., None], 2, 2)
    return scores.astype(np.float32)


def collapsed(path: list[int], blank: int, merges: bool = True) -> list[int]:
    kept = [b for a, b in zip([-1, *path], path, strict=False) if b != blank and not (merges and a == b)]
    return kept + [-1] * (len(path) - len(kept))


@few
@given(
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from(["", "blank_index: 0", "blank_index: -1"]),
    st.booleans(),
    seeds,
)
def test_the_best_path(number: int, steps: int, classes: int, blank: str, free: bool, seed: int) -> None:
    paths = np.random.default_rng(seed).integers(0, classes, (number, steps)).tolist()
    x = scores_of(paths, classes).transpose(0, 2, 1)
    layer = decoder(f"ctc_param {{ {blank} }}")
    (top,) = check_forward(layer, [x], dims=[(None if free else number, classes, steps)])
    index = 0 if blank == "blank_index: 0" else classes - 1
    assert top.reshape(number, steps).tolist() == [collapsed(path, index) for path in paths]
    (all_labels,) = check_forward(decoder("ctc_param { decode: IN_PLACE }"), [x])
    assert all_labels.reshape(number, steps).tolist() == paths


def test_indicators_end_sequences() -> None:
    paths = [[1, 1, 0, 2], [2, 0, 2, 2], [1, 2, 1, 2]]
    x = scores_of(paths, 3).transpose(1, 0, 2)
    indicators = np.float32([[0, 1, 0], [1, 1, 0], [1, 1, 1], [0, 1, 1]])
    (top,) = check_forward(decoder("ctc_param { blank_index: 0 }", 2), [x, indicators])
    assert top.reshape(3, 4).tolist() == [[1, -1, -1, -1], [2, 2, -1, -1], [1, -1, -1, -1]]
    text = "ctc_decoder_param { blank_index: 0 ctc_merge_repeated: %s }"
    top, product = check_forward(decoder(text % "false", 2, 2), [x, indicators])
    assert top.reshape(3, 4).tolist() == [[1, 1, -1, -1], [2, 2, 2, -1], [1, -1, -1, -1]]
    assert product.reshape(3).tolist() == [8, 16, 2]
    (top,) = check_forward(decoder(text % "true", 2), [x, indicators])
    assert top.reshape(3, 4).tolist() == [[1, -1, -1, -1], [2, 2, -1, -1], [1, -1, -1, -1]]


def test_the_order_of_axes() -> None:
    x = scores_of([[1, 0, 1], [0, 0, 1]], 2)  # (N, T, C)
    (top,) = check_forward(decoder("ctc_param { blank_index: 0 nct_axis: 0 nct_axis: 2 }"), [x])
    assert top.reshape(2, 3).tolist() == [[1, 1, -1], [1, -1, -1]]
    for axis in (2, 3):
        plane = np.expand_dims(x.transpose(0, 2, 1), axis)
        (same,) = check_forward(decoder("ctc_param { blank_index: 0 }"), [plane])
        np.testing.assert_array_equal(same, top)
    (single,) = check_forward(decoder("ctc_param { blank_index: 0 }"), [x.transpose(0, 2, 1)[..., :1, None]])
    assert single.reshape(2).tolist() == [1, -1]


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="BEAM_SEARCH"):
        decoder("ctc_param { decode: BEAM_SEARCH }")
    with pytest.raises(UnsupportedError, match="must be given, and two bottoms"):
        decoder("ctc_decoder_param { blank_index: 0 }", 2)
    with pytest.raises(NetError, match="2 or no nct_axis"):
        decoder("ctc_param { nct_axis: 0 }")
    with pytest.raises(ShapeError, match="should be 1 pixel"):
        decoder("").out_shapes([(1, 3, 2, 2)])
    with pytest.raises(ShapeError, match="3 or 4 axes"):
        decoder("").out_shapes([(1, 3)])
    with pytest.raises(ShapeError, match="blank_index 3 is beyond 3 labels"):
        decoder("ctc_param { blank_index: 3 }").out_shapes([(1, 3, 4)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(4, 2\)"):
        decoder("", 2).out_shapes([(4, 2, 3), (2, 4)])
    assert decoder("").fixed_axes([(1, 3, 4, 1)]) == frozenset({1, 2, 3})

"""PriorBox: against its reference, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Layer

TWO_OFFSETS = ["offset_h: 0.5 offset_w: 0.25 offset_h: 1 offset_w: 0"]

sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def prior_box(text: str) -> Layer:
    return parse(f'type: "PriorBox" prior_box_param {{ {text} }}')


@st.composite
def prior_boxes(draw: st.DrawFn) -> str:
    """Parameters in which whatever can be set is set or not."""
    number = draw(st.integers(1, 3))
    least = draw(st.lists(st.floats(1, 60, width=32), min_size=number, max_size=number))
    ratios = draw(st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), max_size=4))
    text = [f"min_size: {size}" for size in least] + [f"aspect_ratio: {ratio}" for ratio in ratios]
    if draw(st.booleans()):
        text += [f"max_size: {size + 9.5}" for size in least]
    variances = draw(st.sampled_from([[], [0.2], [0.1, 0.1, 0.2, 0.3]]))
    text += [f"variance: {variance}" for variance in variances]
    text += draw(st.sampled_from([[], ["img_size: 60"], ["img_h: 50 img_w: 70"]]))
    text += draw(st.sampled_from([[], ["step: 16"], ["step_h: 10 step_w: 7.5"]]))
    flags = [f"{name}: {draw(st.sampled_from(['true', 'false']))}" for name in ("flip", "clip")]
    offsets = [["offset: 0"], ["offset: 0.5"], ["offset_h: 0 offset_w: 1"], TWO_OFFSETS]
    text += draw(st.sampled_from(offsets))
    return " ".join([*text, *flags])


@few
@given(prior_boxes(), sizes, sizes)
def test_prior_box(text: str, feature: tuple[int, int], image: tuple[int, int]) -> None:
    bottoms = [zeros(2, 3, *feature), zeros(2, 3, *(30 * side for side in image))]
    layer = prior_box(text)
    check_forward(layer, bottoms, dims=[(None, 3, *feature), (None, None, *bottoms[1].shape[2:])])
    check_forward(layer, bottoms, dims=[(None, 3, None, feature[1]), (None, 3, None, None)], atol=1e-6)


def centres(top: np.ndarray, image: int) -> list[list[float]]:
    """x, y, width and height of each box, in pixels of a square image."""
    corners = np.asarray(top[0, 0], np.float64).reshape(-1, 4) * image
    return (
        np.hstack([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]]).round(3).tolist()
    )


def test_denser_boxes_of_textboxes() -> None:
    text = "min_size: 30 max_size: 48 aspect_ratio: 4 flip: false denser_prior_boxes: true"
    (top,) = check_forward(prior_box(text), [zeros(1, 1, 2, 1), zeros(1, 3, 100, 100)])
    square = round(math.sqrt(30 * 48), 3)
    assert centres(top, 100) == [
        [50, y, width, height]
        for row in (0, 1)
        for width, height in [(30, 30), (square, square), (60, 15)]
        for y in (25 + 50 * row, 50 + 50 * row)
    ]
    (top,) = check_forward(prior_box(f"{text} offset: 0"), [zeros(1, 1, 2, 1), zeros(1, 3, 100, 100)])
    assert [box[:2] for box in centres(top, 100)[:2]] == [[0, 0], [0, 50]]


def test_offsets_of_opencv() -> None:
    """Its sample of TextBoxes says with them what TextBoxes has in its code."""
    text = "min_size: 30 max_size: 48 aspect_ratio: 4 flip: false"
    bottoms = [zeros(1, 1, 2, 3), zeros(1, 3, 100, 100)]
    (ours,) = check_forward(
        prior_box(f"{text} offset_h: 0.5 offset_h: 1 offset_w: 0.5 offset_w: 0.5"), bottoms
    )
    (theirs,) = check_forward(prior_box(f"{text} denser_prior_boxes: true"), bottoms)
    np.testing.assert_array_equal(ours, theirs)
    (top,) = check_forward(prior_box("min_size: 30.5 offset_h: 0 offset_w: 0"), bottoms)
    assert centres(top, 100)[0] == [0, 0, 30.5, 30.5]
    (top,) = check_forward(prior_box("width: 30.5 height: 20 offset_h: 0.25 offset_w: 1"), bottoms)
    assert centres(top, 100)[1] == [66.667, 12.5, 30.5, 20]


def test_boxes_of_faceboxes() -> None:
    layer = prior_box("min_size: 32 min_size: 64 min_size: 128 faceboxes: true")
    (top,) = check_forward(layer, [zeros(1, 1, 1, 1), zeros(1, 3, 1024, 1024)])
    small = [[512 + 8 * x, 512 + 8 * y, 31, 31] for y in range(-2, 2) for x in range(-2, 2)]
    middle = [[512 + 16 * x, 512 + 16 * y, 63, 63] for y in (-1, 0) for x in (-1, 0)]
    assert centres(top, 1024) == [*small, *middle, [512, 512, 127, 127]]


def test_prior_box_by_hand() -> None:
    """One place in an image of 100 x 200, minimum 30.9, which counts as 30, maximum 48."""
    layer = prior_box(
        "min_size: 30.9 max_size: 48 aspect_ratio: 4 variance: 0.1 variance: 0.2 variance: 0.3 variance: 0.4"
    )
    (top,) = check_forward(layer, [zeros(1, 1, 1, 1), zeros(1, 3, 100, 200)])
    square = math.sqrt(30 * 48)
    sides = [(30, 30), (square, square), (60, 15), (15, 60)]
    corners = [
        [(100 - w / 2) / 200, (50 - h / 2) / 100, (100 + w / 2) / 200, (50 + h / 2) / 100] for w, h in sides
    ]
    np.testing.assert_allclose(top[0, 0].reshape(-1, 4), corners, rtol=1e-6)
    np.testing.assert_allclose(top[0, 1].reshape(-1, 4), [[0.1, 0.2, 0.3, 0.4]] * 4, rtol=1e-6)


def test_prior_box_counts_no_aspect_ratio_twice() -> None:
    shapes = [(1, 1, 1, 1), (1, 3, 9, 9)]
    four = "aspect_ratio: 1 aspect_ratio: 2 aspect_ratio: 0.5 aspect_ratio: 2"
    assert prior_box(f"min_size: 3 {four}").out_shapes(shapes) == ((1, 2, 3 * 4),)
    assert prior_box(f"min_size: 3 flip: false {four}").out_shapes(shapes) == ((1, 2, 3 * 4),)
    assert prior_box("min_size: 3 min_size: 4 max_size: 5 max_size: 6").out_shapes(shapes) == ((1, 2, 4 * 4),)


def test_prior_box_depends_on_sizes_alone() -> None:
    layer = prior_box("min_size: 3")
    assert run_gradient(layer, [zeros(1, 1, 2, 2), zeros(1, 3, 9, 9)], [], [zeros(1, 2, 16)]) == [None, None]
    fixed, g = prior_box("min_size: 3 img_size: 9"), GraphBuilder()
    fixed.emit(g, [Value("x", (None, None, 2, 2)), Value("data", (None,) * 4)], [], [])
    assert not g.nodes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must provide min_size"),
        ("min_size: 0", "min_size must be positive"),
        ("min_size: 3 max_size: 3", "max_size must be greater than min_size"),
        ("min_size: 3 max_size: 4 max_size: 5", r"min_size_size\(\) == max_size_size\(\)"),
        ("min_size: 3 variance: 0.1 variance: 0.1", "Must and only provide 4 variance"),
        ("min_size: 3 variance: 0", "variance > 0"),
        ("min_size: 3 img_size: 9 img_h: 9", "Either img_size or img_h/img_w"),
        ("min_size: 3 img_h: 9", "img_w should be larger than 0"),
        ("min_size: 3 step: 9 step_w: 9", "Either step or step_h/step_w"),
        ("min_size: 3 step: 0", "step_h should be larger than 0"),
        ("min_size: 3 aspect_ratio: 0", "aspect_ratio must be positive"),
        ("min_size: 3 offset: 0.5 offset_h: 1 offset_w: 1", "Either offset or offset_h"),
        (
            "min_size: 3 denser_prior_boxes: true offset_h: 1 offset_w: 1",
            "Either offset or offset_h",
        ),
        ("min_size: 3 offset_h: 1", "1 of offset_h and 0 of offset_w, expected as many"),
        ("min_size: 3 width: 3 height: 3", "either width and height or min_size"),
    ],
)
def test_prior_box_refuses(text: str, problem: str) -> None:
    with pytest.raises(NetError, match=f"layer 'l': .*{problem}"):
        prior_box(text)


def test_opencv_takes_two_offsets() -> None:
    with pytest.raises(UnsupportedError, match="3 of offset_h; OpenCV takes two at most"):
        prior_box("min_size: 3" + " offset_h: 1 offset_w: 1" * 3)


def test_prior_box_needs_an_image() -> None:
    with pytest.raises(NetError, match="needs the image as second bottom"):
        prior_box("min_size: 3").out_shapes([(1, 1, 1, 1)])
    assert prior_box("min_size: 3 img_size: 9").out_shapes([(1, 1, 1, 1)]) == ((1, 2, 4),)

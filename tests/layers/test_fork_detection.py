"""PriorBox, DetectionOutput and ROIPooling: against their references, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

NO_NMS_KERNEL = ("NonMaxSuppression",)
NO_ROI_KERNEL = ("MaxRoiPool",)


def prior_box(text: str) -> Layer:
    return parse(f'type: "PriorBox" prior_box_param {{ {text} }}')


def detection_output(text: str) -> Layer:
    return parse(f'type: "DetectionOutput" detection_output_param {{ {text} }}')


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


sizes = st.tuples(st.integers(1, 4), st.integers(1, 4))


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
    return " ".join([*text, *flags, f"offset: {draw(st.sampled_from([0, 0.5]))}"])


@few
@given(prior_boxes(), sizes, sizes)
def test_prior_box(text: str, feature: tuple[int, int], image: tuple[int, int]) -> None:
    bottoms = [zeros(2, 3, *feature), zeros(2, 3, *(30 * side for side in image))]
    check_forward(prior_box(text), bottoms, dims=[(None, 3, *feature), (None, None, *bottoms[1].shape[2:])])


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
    with pytest.raises(FixedShapeError):
        layer.emit(GraphBuilder(), [Value("x", (1, 1, None, 2)), Value("data", (1, 3, 9, 9))], [], [])
    fixed = prior_box("min_size: 3 img_size: 9")
    fixed.emit(GraphBuilder(), [Value("x", (None, None, 2, 2)), Value("data", (None,) * 4)], [], [])


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
    ],
)
def test_prior_box_refuses(text: str, problem: str) -> None:
    with pytest.raises(NetError, match=f"layer 'l': .*{problem}"):
        prior_box(text)


def test_prior_box_needs_an_image() -> None:
    with pytest.raises(NetError, match="needs the image as second bottom"):
        prior_box("min_size: 3").out_shapes([(1, 1, 1, 1)])
    assert prior_box("min_size: 3 img_size: 9").out_shapes([(1, 1, 1, 1)]) == ((1, 2, 4),)


def priors(seed: int, number: int) -> np.ndarray:
    """Boxes of some area in the unit square, and variances."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 0.7, (number, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.4, (number, 2))], axis=1)
    return np.stack([boxes, rng.uniform(0.05, 0.3, (number, 4))]).reshape(1, 2, -1).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 3),
    number=st.integers(1, 9),
    classes=st.integers(2, 4),
    background=st.integers(-1, 3),
    shared=st.booleans(),
    code=st.sampled_from(["CORNER", "CENTER_SIZE", "CORNER_SIZE"]),
    in_target=st.booleans(),
    top_k=st.sampled_from([None, -1, 1, 3, 20]),
    keep=st.sampled_from([None, -1, 1, 4, 200]),
    limits=st.tuples(st.sampled_from([0, 0.3, 0.6, 1.5]), st.sampled_from([None, 0.1, 0.5, 2])),
    symbolic=st.booleans(),
    seed=seeds,
)
def test_detection_output(
    images: int,
    number: int,
    classes: int,
    background: int,
    shared: bool,
    code: str,
    in_target: bool,
    top_k: int | None,
    keep: int | None,
    limits: tuple[float, float | None],
    symbolic: bool,
    seed: int,
) -> None:
    text = [f"num_classes: {classes} background_label_id: {background} code_type: {code}"]
    text += [f"share_location: {int(shared)} variance_encoded_in_target: {int(in_target)}"]
    text += [f"nms_param {{ nms_threshold: {limits[0]} {'' if top_k is None else f'top_k: {top_k}'} }}"]
    text += [] if keep is None else [f"keep_top_k: {keep}"]
    text += [] if limits[1] is None else [f"confidence_threshold: {limits[1]}"]
    bottoms = [
        values(seed, (images, number * (1 if shared else classes) * 4), -0.5, 0.5),
        values(seed + 1, (images, number * classes), 0, 1),
        priors(seed, number),
    ]
    batch = None if symbolic else images
    dims = [(batch, bottoms[0].shape[1]), (batch, bottoms[1].shape[1]), bottoms[2].shape]
    check_forward(detection_output(" ".join(text)), bottoms, dims=dims, without_kernel=NO_NMS_KERNEL)


def test_detection_output_by_hand() -> None:
    """Three boxes, of which the second overlaps the first by 0.6; two classes beside the background."""
    layer = detection_output(
        "num_classes: 3 keep_top_k: 3 confidence_threshold: 0.2 variance_encoded_in_target: true"
        " nms_param { nms_threshold: 0.5 top_k: 10 }"
    )
    boxes = [[0, 0, 1, 1], [0.25, 0, 1.25, 1], [2, 2, 3, 3]]
    prior = np.array([[np.ravel(boxes), np.ones(12)]], np.float32)
    confidences = np.array([[[0, 0.9, 0.3], [0, 0.8, 0.7], [0, 0.1, 0.6]]], np.float32)
    (top,) = check_forward(
        layer, [zeros(1, 12), confidences.reshape(1, 9), prior], without_kernel=NO_NMS_KERNEL
    )
    expected = [
        [0, 1, 0.9, *boxes[0]],  # suppresses the second box; the third is below the threshold
        [0, 2, 0.7, *boxes[1]],  # suppresses the first box
        [0, 2, 0.6, *boxes[2]],
    ]
    np.testing.assert_allclose(top[0, 0], expected, rtol=1e-6)
    empty = layer.reference([np.zeros((2, 12)), np.zeros((2, 9)), prior], [], []).tops[0]
    assert empty[0, 0].tolist() == [[0, *[-1] * 6], [1, *[-1] * 6], *[[-1] * 7] * 4]
    two = [zeros(2, 12), zeros(2, 9), prior]
    check_forward(layer, two, without_kernel=NO_NMS_KERNEL)


def test_detection_output_settles_ties() -> None:
    """Equal confidences: the first prior, and of several labels the lowest."""
    layer = detection_output("num_classes: 3 keep_top_k: 2 nms_param { nms_threshold: 0.3 top_k: 2 }")
    prior = np.array([[np.ravel([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]]), np.ones(12)]], np.float32)
    bottoms = [zeros(1, 12), np.full((1, 9), 0.5, np.float32), prior]
    (top,) = check_forward(layer, bottoms, without_kernel=NO_NMS_KERNEL)
    assert top[0, 0, :, 1:4].tolist() == [[1, 0.5, 0], [1, 0.5, 2]]


def test_boxes_with_corners_the_wrong_way_round_overlap_nothing() -> None:
    layer = detection_output("num_classes: 2 nms_param { nms_threshold: 0.1 }")
    prior = np.array([[np.ravel([[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]]), np.ones(12)]], np.float32)
    confidences = np.array([[0, 0.9, 0, 0.8, 0, 0.7]], np.float32)
    (top,) = check_forward(layer, [zeros(1, 12), confidences, prior], without_kernel=NO_NMS_KERNEL)
    assert top[0, 0, :, 3:].tolist() == [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("", NetError, "Must specify num_classes"),
        ("num_classes: 2 nms_param { nms_threshold: -1 }", NetError, "must be non negative"),
        ("num_classes: 2 nms_param { eta: 0 }", NetError, "eta > 0"),
        ("num_classes: 2 nms_param { eta: 0.9 nms_threshold: 0.6 }", UnsupportedError, "eta 0.8"),
        ("num_classes: 2 visualize: true", UnsupportedError, "visualize is not implemented"),
        ("num_classes: 2 keep_top_k: 0", UnsupportedError, "a top_k of 0"),
        ("num_classes: 2 nms_param { top_k: 0 }", UnsupportedError, "a top_k of 0"),
        ("num_classes: 1", UnsupportedError, "no class but the background"),
    ],
)
def test_detection_output_refuses_parameters(text: str, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=f"layer 'l': .*{problem}"):
        detection_output(text)


def test_detection_output_refuses_shapes() -> None:
    layer = detection_output("num_classes: 2 keep_top_k: 5")
    assert layer.out_shapes([(2, 12), (2, 6), (1, 2, 12)]) == ((1, 1, 2 * 3, 7),)
    with pytest.raises(ShapeError, match=r"bottom\[2\] must be prior boxes"):
        layer.out_shapes([(2, 12), (2, 6), (1, 1, 12)])
    with pytest.raises(ShapeError, match="must match number of location predictions"):
        layer.out_shapes([(2, 24), (2, 6), (1, 2, 12)])
    with pytest.raises(ShapeError, match="must match number of confidence predictions"):
        layer.out_shapes([(2, 12), (2, 9), (1, 2, 12)])
    with pytest.raises(ShapeError, match=r"bottom\[0\]->num\(\) == bottom\[1\]->num\(\)"):
        layer.out_shapes([(2, 12), (3, 6), (1, 2, 12)])


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 8), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([1, 0.5, 0.0625]),
    seeds,
    st.data(),
)
def test_roi_pooling(
    shape: tuple[int, ...], pooled: tuple[int, int], scale: float, seed: int, data: st.DataObject
) -> None:
    """Regions of all kinds: half-way corners, partly or wholly outside, ends before beginnings."""
    layer = parse(
        f'type: "ROIPooling" roi_pooling_param {{ pooled_h: {pooled[0]} pooled_w: {pooled[1]}'
        f" spatial_scale: {scale} }}"
    )
    rng = np.random.default_rng(seed)
    corners = rng.integers(-2, 12, (5, 4)) / scale + rng.choice([0, 0.5, 0.25], (5, 4)) / scale
    regions = np.concatenate([rng.integers(0, shape[0], (5, 1)), corners], axis=1).astype(np.float32)
    four = data.draw(st.booleans())
    if four:
        regions = regions.reshape(5, 5, 1, 1)
    dims = [data.draw(freed(shape)), (None, *regions.shape[1:])]
    check_forward(layer, [values(seed, shape), regions], dims=dims, without_kernel=NO_ROI_KERNEL)


def test_roi_pooling_by_hand() -> None:
    layer = parse('type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 2 spatial_scale: 0.5 }')
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 3, 4)
    regions = np.array([[0, 0, 0, 4, 2], [0, 99, 99, 120, 120]], np.float32)
    (top,) = check_forward(layer, [x, regions], without_kernel=NO_ROI_KERNEL)
    # columns 0 to 2 of rows 0 and 1, in two cells that share column 1; then nothing
    assert top.tolist() == [[[[6, 7]]], [[[0, 0]]]]


def test_roi_pooling_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': pooled_h must be > 0"):
        parse('type: "ROIPooling"')
    layer = parse('type: "ROIPooling" roi_pooling_param { pooled_h: 1 pooled_w: 1 }')
    assert not layer.has_gradient
    assert layer.out_shapes([(2, 3, 9, 9), (7, 5, 1, 1)]) == ((7, 3, 1, 1),)
    with pytest.raises(ShapeError, match="ROI layer C x W x H must be == 5"):
        layer.out_shapes([(2, 3, 9, 9), (7, 4)])
    with pytest.raises(ShapeError, match="must have 4 axes"):
        layer.out_shapes([(2, 3), (7, 5)])

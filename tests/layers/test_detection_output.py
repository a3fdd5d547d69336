"""DetectionOutput: against its reference, and by hand."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from box_cases import priors
from harness import check_forward, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds, values
from small_ssd import ssd_head

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.targets.convert import Deployment
from vggrepro.layers.base import Layer
from vggrepro.net import load_net
from vggrepro.verify.detections import in_the_order_of
from vggrepro.verify.runtimes.jobs import Job, run_jobs
from vggrepro.verify.runtimes.written import installed

SSD_END = """
layer { name: "rows" type: "Reshape" bottom: "conf_perm" top: "rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "prob" type: "Softmax" bottom: "rows" top: "prob" softmax_param { axis: 2 } }
layer { name: "flat" type: "Flatten" bottom: "prob" top: "flat" }
layer { name: "det" type: "DetectionOutput" bottom: "loc_flat" bottom: "flat" bottom: "prior" top: "det"
  detection_output_param { num_classes: 3 code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.3
    nms_param { nms_threshold: 0.45 top_k: 60 } } }
"""
NO_NMS_KERNEL = ("NonMaxSuppression",)


def detection_output(text: str) -> Layer:
    return parse(f'type: "DetectionOutput" detection_output_param {{ {text} }}')


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


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
    free=st.booleans(),
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
    free: bool,
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
    if free:
        dims = [(batch, None), (batch, None), (1, 2, None)]
    check_forward(detection_output(" ".join(text)), bottoms, dims=dims, without_kernel=NO_NMS_KERNEL)


@pytest.mark.parametrize("runtime", ["onnxruntime", "opencv"])
def test_one_file_for_images_of_any_size(runtime: str, tmp_path: Path) -> None:
    """Fewer priors than ``top_k``, and more; also in OpenCV 5, which fixes none of the sizes."""
    if runtime == "opencv" and cv2.__version__ < "5":
        pytest.skip("OpenCV 5 is not installed")
    (tmp_path / "net.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 3 dim: 40 dim: 30 }' + ssd_head(3, conf=0.1) + SSD_END
    )
    net = load_net(tmp_path / "net.prototxt", seed=3)
    graph = build_deployed(net, Deployment("opencv5"))
    assert all(graph.is_free("data", axis) for axis in (0, 2, 3))
    graph.save(tmp_path / "m.onnx")
    shapes = [(1, 3, 40, 30), (2, 3, 61, 47), (2, 3, 25, 90), (1, 3, 15, 10)]
    feeds = [{"data": values(1, shape, -90, 90)} for shape in shapes]
    jobs = [Job(tmp_path / "m.onnx", feed, ["det"]) for feed in feeds]
    for feed, reply in zip(feeds, run_jobs(installed(runtime), jobs).replies, strict=True):
        assert reply.error == ""
        want, got = reference_forward(net, feed)["det"], reply.arrays["det"]
        assert (want[..., 1] > 0).any()
        np.testing.assert_allclose(in_the_order_of(want, got), want, rtol=1e-5, atol=1e-5)


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
        ("num_classes: 2 keep_top_k: 0", UnsupportedError, "a top_k of 0"),
        ("num_classes: 2 nms_param { top_k: 0 }", UnsupportedError, "a top_k of 0"),
        ("num_classes: 1", UnsupportedError, "no class but the background"),
    ],
)
def test_detection_output_refuses_parameters(text: str, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=f"layer 'l': .*{problem}"):
        detection_output(text)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2), st.integers(1, 7), st.booleans(), st.booleans(), st.booleans(), seeds)
def test_detection_output_after_an_earlier_stage(
    images: int, number: int, moved: bool, in_target: bool, symbolic: bool, seed: int
) -> None:
    """RefineDet's bottoms: confidences below the objectness count as 0, the places move the priors."""
    layer = detection_output(
        f"num_classes: 3 code_type: CENTER_SIZE variance_encoded_in_target: {int(in_target)} keep_top_k: 9"
        " confidence_threshold: 0.2 objectness_score: 0.5 nms_param { nms_threshold: 0.45 top_k: 5 }"
    )
    bottoms = [
        values(seed, (images, number * 4), -0.5, 0.5),
        values(seed + 1, (images, number * 3), 0, 1),
        priors(seed, number),
        values(seed + 2, (images, number * 2), 0, 1),
        values(seed + 3, (images, number * 4), -0.5, 0.5),
    ][: 5 if moved else 4]
    dims = [b.shape if b.ndim == 3 else (None if symbolic else images, b.shape[1]) for b in bottoms]
    check_forward(layer, bottoms, dims=dims, without_kernel=NO_NMS_KERNEL)


def test_detection_output_after_an_earlier_stage_by_hand() -> None:
    """Two priors; the second is no object; the first is moved by half its width, then by half its height."""
    layer = detection_output(
        "num_classes: 2 code_type: CENTER_SIZE variance_encoded_in_target: true confidence_threshold: 0"
    )
    prior = np.array([[np.ravel([[0, 0, 2, 4], [5, 5, 6, 6]]), np.ones(8)]], np.float32)
    confidences, objects = np.array([[[0.3, 0.7, 0.1, 0.9]], [[0.2, 0.01, 0.5, 0.009]]], np.float32)
    places, moved = np.zeros((2, 1, 8), np.float32)
    moved[0, :3] = 0.5, 0, math.log(2)  # centre (2, 2), width 4
    places[0, 1] = 0.5  # down by half of 4
    (top,) = check_forward(layer, [places, confidences, prior, objects, moved], without_kernel=NO_NMS_KERNEL)
    np.testing.assert_allclose(top[0, 0], [[0, 1, 0.7, 0, 2, 4, 6], [-1] * 7], rtol=1e-6)


POLYGON = "use_polygon: true code_type: CENTER_SIZE"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2), st.integers(1, 7), st.booleans(), st.booleans(), seeds)
def test_detection_output_of_polygons(
    images: int, number: int, shared: bool, symbolic: bool, seed: int
) -> None:
    layer = detection_output(
        f"num_classes: 3 {POLYGON} share_location: {int(shared)} keep_top_k: 9 confidence_threshold: 0.2"
        " nms_param { nms_threshold: 0.45 top_k: 5 }"
    )
    bottoms = [
        values(seed, (images, number * (1 if shared else 3) * 12), -0.5, 0.5),
        values(seed + 1, (images, number * 3), 0, 1),
        priors(seed, number),
    ]
    dims = [b.shape if b.ndim == 3 else (None if symbolic else images, b.shape[1]) for b in bottoms]
    check_forward(layer, bottoms, dims=dims, without_kernel=NO_NMS_KERNEL)


def test_detection_output_of_polygons_by_hand() -> None:
    """A box 2 wide and 4 high, its four corners moved by (0.1, 0.2) times numbers that differ."""
    layer = detection_output(f"num_classes: 2 {POLYGON} confidence_threshold: 0.5")
    prior = np.array([[[1, 1, 3, 5], [0.1, 0.2, 0.3, 0.4]]], np.float32)
    confidences = np.array([[0.3, 0.7]], np.float32)
    places = np.array([[0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]], np.float32)
    (top,) = check_forward(layer, [places, confidences, prior], without_kernel=NO_NMS_KERNEL)
    corners = [1.2, 1.8, 3.4, 2.6, 3.6, 7.4, 1.8, 8.2]
    np.testing.assert_allclose(top[0, 0], [[0, 1, 0.7, 1, 1, 3, 5, *corners]], rtol=1e-6)
    (none,) = check_forward(layer, [places, confidences * 0, prior], without_kernel=NO_NMS_KERNEL)
    assert none[0, 0].tolist() == [[0, *[-1] * 14]]


def test_boxes_end_at_the_border_before_they_are_compared() -> None:
    """Two boxes that overlap by half outside of the image, and not at all inside; a third one beyond it."""
    text = "num_classes: 2 confidence_threshold: 0.5 nms_param { nms_threshold: 0.3 }"
    boxes = [[-4, 0.1, 0.2, 0.5], [-4, 0.1, -1, 0.5], [0.9, 0.9, 1.7, 1.5]]
    prior = np.array([[np.ravel(boxes), np.ones(12)]], np.float32)
    confidences = np.array([[0.1, 0.9, 0.2, 0.8, 0.3, 0.7]], np.float32)
    bottoms = [zeros(1, 12), confidences, prior]
    (top,) = check_forward(detection_output(f"{text} clip: 1"), bottoms, without_kernel=NO_NMS_KERNEL)
    want = [[0.9, 0, 0.1, 0.2, 0.5], [0.8, 0, 0.1, 0, 0.5], [0.7, 0.9, 0.9, 1, 1]]
    np.testing.assert_allclose(top[0, 0, :, 2:], want, rtol=1e-6)
    (top,) = check_forward(detection_output(text), bottoms, without_kernel=NO_NMS_KERNEL)
    np.testing.assert_allclose(top[0, 0, :2, 2:], [[0.9, *boxes[0]], [0.7, *boxes[2]]], rtol=1e-6)
    with pytest.raises(UnsupportedError, match="clip with an earlier stage"):
        detection_output("num_classes: 2 clip: 1").out_shapes([(1, 12), (1, 6), (1, 2, 12), (1, 6)])
    with pytest.raises(UnsupportedError, match=r"use_polygon with .* no clip"):
        detection_output(f"num_classes: 2 {POLYGON} clip: 1")


def test_detection_output_refuses_polygons_that_textboxes_leaves_undefined() -> None:
    for other in ("", "code_type: CORNER_SIZE", "code_type: CENTER_SIZE variance_encoded_in_target: true"):
        with pytest.raises(UnsupportedError, match="use_polygon with another code than CENTER_SIZE"):
            detection_output(f"num_classes: 2 use_polygon: true {other}")
    with pytest.raises(UnsupportedError, match="use_polygon with an earlier stage"):
        detection_output(f"num_classes: 2 {POLYGON}").out_shapes([(1, 36), (1, 6), (1, 2, 12), (1, 6)])


def test_detection_output_ignores_what_is_for_pictures() -> None:
    with pytest.warns(UserWarning, match="layer 'l': visualize is ignored"):
        layer = detection_output("num_classes: 3 visualize: true visualize_threshold: 0.4 keep_top_k: 3")
    bottoms = [values(1, (2, 12), -1, 1), values(2, (2, 9), 0, 1), priors(3, 3), zeros(2, 3, 9, 9)]
    (top,) = check_forward(layer, bottoms, without_kernel=NO_NMS_KERNEL)
    (plain,) = check_forward(layer, bottoms[:3], without_kernel=NO_NMS_KERNEL)
    assert (top == plain).all()


def test_detection_output_refuses_bottoms_of_an_earlier_stage() -> None:
    layer = detection_output("num_classes: 2")
    three = [(2, 12), (2, 6), (1, 2, 12)]
    with pytest.raises(ShapeError, match=r"bottom\[3\] must be \(2, 6\) for 3 priors"):
        layer.out_shapes([*three, (2, 5)])
    with pytest.raises(ShapeError, match=r"bottom\[4\] must be \(2, 12\) for 3 priors"):
        layer.out_shapes([*three, (2, 6), (1, 12)])
    with pytest.raises(UnsupportedError, match="another background than label 0"):
        detection_output("num_classes: 2 background_label_id: 1").out_shapes([*three, (2, 6)])
    apart = detection_output("num_classes: 2 share_location: false")
    with pytest.raises(UnsupportedError, match="without share_location"):
        apart.out_shapes([(2, 24), *three[1:], (2, 6), (2, 12)])


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


def test_only_the_first_item_of_the_priors_is_read() -> None:
    layer, boxes = detection_output("num_classes: 2 nms_param { nms_threshold: 0.5 }"), priors(0, 3)
    bottoms = [values(1, (2, 12)), values(2, (2, 6), 0, 1)]
    alone = check_forward(layer, [*bottoms, boxes], without_kernel=NO_NMS_KERNEL)
    several = np.concatenate([boxes, boxes + 1, boxes - 1])
    found = check_forward(layer, [*bottoms, several], without_kernel=NO_NMS_KERNEL)
    np.testing.assert_array_equal(found[0], alone[0])

"""MultiBoxLoss: against its reference, central differences and SSD's rules, box by box."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from box_cases import overlap_of, priors, truth
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def loss(text: str, more: str = "") -> Layer:
    return parse(f'type: "MultiBoxLoss" {more} multibox_loss_param {{ {text} }}')


def by_hand(
    bottoms: list[np.ndarray],
    classes: int,
    code: str,
    ratio: float,
    threshold: float,
    counted: Callable[[float], float] = float,
) -> float:
    """Loss with mining of negatives and the defaults of all other fields, as SSD's paper and layer say; with
    six bottoms as RefineDet's do, of which those count that are objects by 0.4."""
    places, confidences, prior, rows, *stage = (np.asarray(b, np.float64) for b in bottoms)
    boxes, variances = prior.reshape(2, -1, 4)
    total, matched = 0.0, 0
    for image in range(len(places)):
        objects = np.ones(len(boxes))
        if stage:
            objects = stage[0][image].reshape(-1, 2)[:, 1]
            boxes = moved(prior.reshape(2, -1, 4)[0], stage[1][image].reshape(-1, 4) * variances)
        own = [row for row in rows[0, 0] if int(row[0]) == image]
        if not own:
            continue
        pairs = {
            (p, k): overlap_of(boxes[p], own[k][3:7]) for p in range(len(boxes)) for k in range(len(own))
        }
        best = {p: max(pairs[p, k] for k in range(len(own))) for p in range(len(boxes))}
        taken: dict[int, int] = {}
        open_boxes = set(range(len(own)))
        while True:
            left = [
                (v, p, k) for (p, k), v in pairs.items() if p not in taken and k in open_boxes and v > 1e-6
            ]
            if not left:
                break
            _, p, k = max(left)
            taken[p] = k
            open_boxes.remove(k)
        for p in range(len(boxes)):
            if p not in taken and best[p] >= threshold:
                taken[p] = max(range(len(own)), key=lambda k: pairs[p, k])
        scores = confidences[image].reshape(-1, classes)
        nothing = {p: math.log(np.exp(scores[p]).sum()) - scores[p, 0] for p in range(len(boxes))}
        others = sorted(
            (p for p in nothing if p not in taken and best[p] < 0.5 and objects[p] >= 0.4),
            key=lambda p: -nothing[p],
        )
        total += sum(counted(nothing[p]) for p in others[: int(len(taken) * ratio)])
        matched += len(taken)
        for p, k in taken.items():
            total += counted(math.log(np.exp(scores[p]).sum()) - scores[p, int(own[k][1])])
            for axis in range(4):
                right = coded(code, own[k][3:7], boxes[p], axis) / variances[p, axis]
                size = abs(places[image].reshape(-1, 4)[p, axis] - right)
                total += size**2 / 2 if size < 1 else size - 0.5
    return total / max(matched, 1)


def moved(boxes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Boxes that CENTER_SIZE's places say, relative to others."""
    side = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + places[:, :2] * side
    half = np.exp(places[:, 2:]) * side / 2
    return np.hstack([centre - half, centre + half])


def coded(code: str, box: np.ndarray, prior: np.ndarray, axis: int) -> float:
    """One of the four numbers that say how a box lies to a prior."""
    first, second = axis % 2, axis % 2 + 2
    side, prior_side = box[second] - box[first], prior[second] - prior[first]
    if code == "CORNER":
        return float(box[axis] - prior[axis])
    if code == "CORNER_SIZE":
        return float((box[axis] - prior[axis]) / prior_side)
    if axis > 1:
        return math.log(side / prior_side)
    return float((box[first] + side / 2 - prior[first] - prior_side / 2) / prior_side)


@settings(max_examples=15, deadline=None)
@given(
    images=st.integers(1, 3),
    number=st.integers(1, 12),
    classes=st.integers(3, 5),
    rows=st.integers(1, 9),
    code=st.sampled_from(["CORNER", "CENTER_SIZE", "CORNER_SIZE"]),
    ratio=st.sampled_from([0.4, 1, 3]),
    threshold=st.sampled_from([0.2, 0.5]),
    seed=seeds,
)
def test_ssds_rule(
    images: int, number: int, classes: int, rows: int, code: str, ratio: float, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bottoms = [
        tie_free(rng, (images, number * 4), -2, 2),
        tie_free(rng, (images, number * classes), -3, 3),
        priors(seed, number),
        truth(seed, images, classes, rows),
    ]
    layer = loss(
        f"num_classes: {classes} code_type: {code} neg_pos_ratio: {ratio} overlap_threshold: {threshold}"
    )
    (value,) = check_forward(layer, bottoms)
    assert value == pytest.approx(by_hand(bottoms, classes, code, ratio, threshold), rel=1e-5)
    check_gradient(layer, bottoms)


TEXTS = [
    "num_classes: 3 match_type: BIPARTITE mining_type: NONE",
    "num_classes: 3 use_prior_for_matching: false",
    "num_classes: 3 use_prior_for_matching: false ignore_cross_boundary_bbox: true code_type: CENTER_SIZE",
    "num_classes: 3 ignore_cross_boundary_bbox: true mining_type: HARD_EXAMPLE sample_size: 3",
    "num_classes: 3 mining_type: HARD_EXAMPLE sample_size: 5 loc_loss_type: L2 loc_weight: 0.5",
    "num_classes: 3 conf_loss_type: LOGISTIC use_difficult_gt: false",
    "num_classes: 2 map_object_to_agnostic: true",
    "num_classes: 3 background_label_id: 2 mining_type: NONE",
]


@settings(max_examples=25, deadline=None)
@given(
    text=st.sampled_from(TEXTS),
    mode=st.sampled_from(["FULL", "VALID", "BATCH_SIZE", "NONE"]),
    images=st.integers(1, 3),
    number=st.integers(1, 9),
    rows=st.integers(1, 7),
    symbolic=st.booleans(),
    seed=seeds,
)
def test_its_options(
    text: str, mode: str, images: int, number: int, rows: int, symbolic: bool, seed: int
) -> None:
    layer = loss(text, f"loss_param {{ normalization: {mode} }}")
    classes = 2 if "agnostic" in text else 3
    rng = np.random.default_rng(seed)
    right = truth(seed, images, classes + 1, rows, ended=seed % 2 == 0)
    if "background" in text:
        right[0, 0, :, 1] -= right[0, 0, :, 1] > 0
        right[0, 0, :, 1] = np.minimum(right[0, 0, :, 1], 1)
    elif classes == 3:
        right[0, 0, :, 1] = np.minimum(right[0, 0, :, 1], 2)
    bottoms = [
        tie_free(rng, (images, number * 4), -2, 2),
        tie_free(rng, (images, number * classes), -3, 3),
        priors(seed, number) + np.float32([[[0.05]], [[0]]]).reshape(1, 2, 1) * np.float32(4),
        right,
    ]
    dims = [(None, number * 4), (None, number * classes), bottoms[2].shape, (1, 1, None, 8)]
    check_forward(layer, bottoms, dims=dims if symbolic else None)
    check_gradient(layer, bottoms)


@settings(max_examples=10, deadline=None)
@given(images=st.integers(1, 3), number=st.integers(1, 9), places=st.booleans(), seed=seeds)
def test_an_earlier_stage(images: int, number: int, places: bool, seed: int) -> None:
    """RefineDet: its places stand for the priors, and what is hardly an object is no background."""
    rng = np.random.default_rng(seed)
    layer = loss("num_classes: 3 code_type: CENTER_SIZE objectness_score: 0.4")
    bottoms = [
        tie_free(rng, (images, number * 4), -2, 2),
        tie_free(rng, (images, number * 3), -3, 3),
        priors(seed, number),
        truth(seed, images, 3, 5),
        tie_free(rng, (images, number * 2), 0, 1),
        tie_free(rng, (images, number * 4)),
    ][: 5 + places]
    (value,) = check_forward(layer, bottoms)
    check_gradient(layer, bottoms)
    if places:
        assert value == pytest.approx(by_hand(bottoms, 3, "CENTER_SIZE", 3, 0.5), rel=1e-5)


def test_boxes_that_share_their_best_prior() -> None:
    """The pair that overlaps most comes first; the other box gets the next prior, by however little."""
    prior = np.float32([[0, 0, 1, 1, 0.9, 0, 1.9, 1], [1] * 8]).reshape(1, 2, 8)
    rows = np.float32([[0, 1, 0, 0, 0, 0.95, 1, 0], [0, 2, 0, 0, 0, 0.99, 1, 0]]).reshape(1, 1, 2, 8)
    layer = loss("num_classes: 3 mining_type: NONE loc_weight: 0")
    confidences = np.zeros((1, 6), np.float32)
    confidences[0, [2, 4]] = 50  # the first prior is sure of 2, the second of 1
    (value,) = check_forward(layer, [np.zeros((1, 8), np.float32), confidences, prior, rows])
    assert value == pytest.approx(0, abs=1e-6)


def test_parts_that_nothing_learns_from_are_left_out() -> None:
    bottoms = [np.ones((1, 4), np.float32), np.ones((1, 2), np.float32), priors(0, 1), truth(0, 1, 2, 1)]
    bottoms[3][0, 0, 0, 3:7] = bottoms[2][0, 0]
    text = "num_classes: 2"
    (whole,) = check_forward(loss(text), bottoms)
    flags = "propagate_down: {} propagate_down: {} propagate_down: false propagate_down: false"
    (places,) = check_forward(loss(text, flags.format("true", "false")), bottoms)
    (confidences,) = check_forward(loss(text, flags.format("false", "true")), bottoms)
    assert places == pytest.approx(4 * 0.5)
    assert confidences == pytest.approx(math.log(2))
    assert whole == pytest.approx(places + confidences)


def test_variances_in_the_target_are_not_in_the_gradient() -> None:
    bottoms = [
        np.full((1, 4), 0.01, np.float32),
        np.ones((1, 2), np.float32),
        priors(0, 1),
        truth(0, 1, 2, 1),
    ]
    bottoms[3][0, 0, 0, 3:7] = bottoms[2][0, 0]
    layer = loss("num_classes: 2 encode_variance_in_target: true")
    check_forward(layer, bottoms)
    slope = run_gradient(layer, bottoms, (), [np.float32(1)])[0]
    np.testing.assert_allclose(slope[0], 0.01 / bottoms[2][0, 1], rtol=1e-5)


def test_multi_box_loss_refuses() -> None:
    for text, error, message in [
        ("", NetError, "Must provide num_classes"),
        ("num_classes: 3 do_neg_mining: false", NetError, "do_neg_mining and mining_type"),
        ("num_classes: 3 share_location: false", UnsupportedError, "share_location: false"),
        ("num_classes: 3 bp_inside: true", UnsupportedError, "bp_inside"),
        ("num_classes: 3 nms_param { nms_threshold: 0.5 }", UnsupportedError, "suppression before mining"),
        ("num_classes: 3 background_label_id: 3", NetError, "background_label_id should be within"),
        ("num_classes: 3 conf_loss_type: LOGISTIC mining_type: NONE", UnsupportedError, "LOGISTIC needs"),
        ("num_classes: 3 mining_type: HARD_EXAMPLE sample_size: 0", NetError, "sample_size > 0"),
        ("num_classes: 3 map_object_to_agnostic: true", NetError, "num_classes == 2"),
    ]:
        with pytest.raises(error, match=f"layer 'l': .*{message}"):
            loss(text)
    layer = loss("num_classes: 3")
    good = [(2, 8), (2, 6), (1, 2, 8), (1, 1, 5, 8)]
    assert layer.out_shapes(good) == ((),)
    for index, shape, message in [
        (0, (2, 4), "location predictions"),
        (1, (1, 6), "confidence predictions"),
        (2, (1, 1, 8), "prior boxes"),
        (3, (1, 1, 5, 7), r"boxes of shape \(1, 1, boxes, 8\)"),
    ]:
        with pytest.raises(ShapeError, match=message):
            layer.out_shapes([*good[:index], shape, *good[index + 1 :]])
    with pytest.raises(UnsupportedError, match="an earlier stage needs"):
        loss("num_classes: 3 use_prior_for_matching: false").out_shapes([*good, (2, 4), (2, 8)])


def test_only_the_first_item_of_the_priors_is_read() -> None:
    layer, boxes = loss("num_classes: 2"), priors(0, 4)
    rng = np.random.default_rng(1)
    places, confidences, rows = tie_free(rng, (2, 16)), tie_free(rng, (2, 8)), truth(2, 2, 2, 3)
    alone = check_forward(layer, [places, confidences, boxes, rows])
    several = np.concatenate([boxes, boxes + 1])
    found = check_forward(layer, [places, confidences, several, rows])
    np.testing.assert_array_equal(found[0], alone[0])

"""MS-CNN's DetectionLoss: against its reference, place by place, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from field_cases import Rule, loss, maps, weighted
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Needed
from vggrepro.layers.mscnn_detection_loss import MSCNNDetectionLoss

FIELD = "field_w: 30 field_h: 20 downsample_rate: 8 bg_threshold: 0.4 bg_multiple: 2"
NORM = (
    "bbox_reg_param { bbox_mean: 0.1 bbox_mean: 0 bbox_mean: 0 bbox_mean: -0.1 bbox_std: 0.5 bbox_std: 0.4 "
)
NORM += "bbox_std: 0.8 bbox_std: 0.9 }"
WEIGHT = np.float32([[[[0.5, 7]]]])  # the second number is not read


def detection_loss(text: str = "", classes: int = 4, more: str = "") -> MSCNNDetectionLoss:
    made = parse(f'type: "DetectionLoss" detection_loss_param {{ cls_num: {classes} {FIELD} {text} }} {more}')
    assert isinstance(made, MSCNNDetectionLoss)
    return made


def inputs(seed: int, images: int, size: tuple[int, int], classes: int = 4) -> list[np.ndarray]:
    scores, coded, right = maps(seed, images, 1, classes, size)
    return [np.concatenate([scores, coded], axis=2)[:, 0], right[:, 0]]


MODES = ["random", "bootstrap", "mixture", "all"]
FLAGS = ["", "iou_weighted: true", "pos_neg_weighted: true", "iou_weighted: true pos_neg_weighted: true"]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from(MODES),
    st.sampled_from(FLAGS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_detection_loss(
    images: int,
    size: tuple[int, int],
    mode: str,
    flags: str,
    binary: bool,
    smooth: bool,
    norm: bool,
    free: bool,
    seed: int,
) -> None:
    classes = 2 if binary else 4
    text = f'sample_mode: "{mode}" {flags} bb_smooth: {str(smooth).lower()} objectness: {str(binary).lower()}'
    layer = detection_loss(f"{text} lambda: 0.7", classes, NORM if norm else "")
    bottoms = inputs(seed, images, size, classes)
    states = [np.array([seed % 99, 0])] if mode in ("random", "mixture") else []
    dims = [(None, *b.shape[1:]) for b in bottoms] if free else None
    check_forward(layer, bottoms, states=states, dims=dims, rtol=1e-4)


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("mode", MODES)
def test_place_by_place(mode: str, flags: str) -> None:
    layer = detection_loss(f'sample_mode: "{mode}" {flags} lambda: 0.7', more=NORM)
    x, right = inputs(5, 2, (5, 7))
    states = [np.array([3, 0])] if mode in ("random", "mixture") else []
    (top,) = check_forward(layer, [x, right], states=states, rtol=1e-4)
    label, overlap = right[:, 0].astype(int), right[:, 5]
    candidates = (label == 0) & (overlap < np.float32(0.4))
    kept = label != 0
    ratio = 1.0 if mode == "mixture" else 2.0
    for n in range(2):
        chosen = np.zeros(candidates[n].size, bool) if mode != "all" else np.ones(candidates[n].size, bool)
        if mode in ("random", "mixture"):
            draws = max(int((label[n] != 0).sum() * ratio), 12)
            assert layer.sampling is not None
            keys = layer.sampling.draw_keys(2, 35 * int(ratio), np.array([3, 0]))[n]
            chosen[[int(key >> 22) % 35 for key in keys[:draws]]] = True
        if mode in ("bootstrap", "mixture"):
            for k in range(1, 4):
                number = max(4, int((label[n] == k).sum() * ratio))
                places = [p for p in range(35) if candidates[n].reshape(-1)[p]]
                places.sort(key=lambda p: (-x[n, k].reshape(-1)[p], -p))
                chosen[places[:number]] = True
        kept[n] |= candidates[n] & chosen.reshape(5, 7)
    assert (kept & (label == 0)).sum() > 4 and (mode == "all" or (candidates & ~kept).any())
    weights = np.where((label != 0) & ("iou" in flags), overlap, 1.0).astype(float)
    if "pos_neg" in flags:
        weights = weighted(kept, label, weights, 2)
    rule = Rule(((30, 20),), mean=(0.1, 0, 0, -0.1), std=(0.5, 0.4, 0.8, 0.9), balance=0.7)
    expected = loss(rule, x[:, None, :4], x[:, None, 4:], right[:, None], kept[:, None], weights[:, None])
    np.testing.assert_allclose(top.reshape(-1), expected, rtol=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("smooth", ["true", "false"])
def test_gradient(mode: str, smooth: str) -> None:
    """Within the bounds it is the derivative; which places count does not follow small changes."""
    layer = detection_loss(f'sample_mode: "{mode}" bb_smooth: {smooth} pos_neg_weighted: true lambda: 0.7')
    bottoms = inputs(6, 2, (4, 5))
    bottoms[0][:, 4:] *= 0.3
    states = [np.array([3, 0])] if mode in ("random", "mixture") else []
    # the second number counts for nothing: the reference is weighed with 0 there
    check_gradient(layer, bottoms, states=states, d_tops=[np.float32([[[[1, 0]]]])])


def test_gradient_goes_through_the_bounds_and_reads_one_number() -> None:
    layer = detection_loss('sample_mode: "all" bb_smooth: false')
    bottoms = inputs(7, 1, (3, 4))
    bottoms[0][:, 4:] = 9  # far beyond
    found, _ = run_gradient(layer, bottoms, [], [WEIGHT])
    objects = bottoms[1][0, 0] != 0
    assert (found[0, 4:, objects] != 0).all() and not found[0, 4:, ~objects].any()
    half, _ = run_gradient(layer, bottoms, [], [WEIGHT * np.float32([1, 0])])
    np.testing.assert_array_equal(found, half)


def test_a_map_without_anything() -> None:
    bottoms = inputs(8, 1, (2, 2))
    bottoms[1][:, 0], bottoms[1][:, 5] = 0, 1
    (top,) = check_forward(detection_loss('sample_mode: "bootstrap" pos_neg_weighted: true'), bottoms)
    assert top.tolist() == [[[[0, 0]]]]


def test_refuses() -> None:
    for text, message in [
        ("coord_num: 5", "coord_num must be 4"),
        ("side: 7", "has fields of MS-CNN's layer and of YOLO's"),
        ("objectness: true", "cls_num must be 2 or more, and 2 with objectness, got 4"),
        ("field_xyr: 0", "field_xyr must be above 0"),
    ]:
        with pytest.raises(NetError, match=message):
            detection_loss(text)
    with pytest.raises(NetError, match="sides of fields"):
        parse('type: "DetectionLoss" detection_loss_param { cls_num: 4 }')
    with pytest.raises(UnsupportedError, match="ignore_label is not defined"):
        detection_loss(more="loss_param { ignore_label: 3 }")
    layer = detection_loss()
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(N, 8, H, W\)"):
        layer.out_shapes([(2, 9, 3, 3), (2, 6, 3, 3)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(2, 6, 3, 3\)"):
        layer.out_shapes([(2, 8, 3, 3), (2, 5, 3, 3)])
    with pytest.raises(GradientError, match="cannot backpropagate to label"):
        bottoms = inputs(0, 1, (2, 2))
        run_gradient(layer, bottoms, [], [WEIGHT], states=[np.array([0, 0])], needed=Needed((True, True), ()))

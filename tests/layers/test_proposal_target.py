"""ProposalTarget: against its reference, and region by region by the forks' words."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds
from target_cases import coded, iou, regions_near, right_boxes

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.proposal_target import ProposalTarget

TEXT = "cls_num: 4 batch_size: 32 fg_fraction: 0.25 fg_thr: 0.5 bg_thr_hg: 0.49 bg_thr_lw: 0.1"
NORM = "bbox_mean: 0 bbox_mean: 0 bbox_mean: 0 bbox_mean: 0.5"
NORM += " bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.4"
STATE = [np.array([3, 0])]


def proposal_target(text: str = TEXT, more: str = "", tops: int = 6) -> ProposalTarget:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    made = parse(f'type: "ProposalTarget" {named} proposal_target_param {{ {text} }} {more}')
    assert isinstance(made, ProposalTarget)
    return made


def inputs(seed: int, regions: int, boxes: int, columns: int = 7, images: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    right = right_boxes(seed, boxes)
    rows = np.column_stack([rng.integers(0, images, regions), regions_near(seed, right, regions)])
    table = np.zeros((boxes, columns))
    table[:, 0], table[:, 1:6] = rng.integers(0, images, boxes), right
    table[:, 6] = rng.random(boxes) < 0.2
    if columns == 8 and boxes > 1:
        table[-1, 0] = -1
    return [rows.astype(np.float32), table.astype(np.float32)]


@few
@given(
    st.integers(1, 90),
    st.integers(1, 5),
    st.sampled_from([7, 8]),
    st.sampled_from(
        ["", "iou_weighted: true", "pickup_discard: false append_gtbox: false", "batch_size: -1"]
    ),
    st.sampled_from(["", f"bbox_reg_param {{ cls_aware: false {NORM} }}"]),
    st.integers(6, 7),
    seeds,
)
def test_proposal_target(
    regions: int, boxes: int, columns: int, text: str, more: str, tops: int, seed: int
) -> None:
    bottoms = inputs(seed, regions, boxes, columns)
    if columns == 8:
        bottoms = [bottom.reshape(*bottom.shape, 1, 1) for bottom in bottoms]
    layer = proposal_target(f"{TEXT} {text}" if "batch" not in text else f"cls_num: 4 {text}", more, tops)
    check_forward(layer, bottoms, states=[np.array([seed % 99, 0])], rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_region_by_region(weighted: bool) -> None:
    """Seven numbers for a box; the weights of labels add up to the shares."""
    rows, right = inputs(11, 120, 4)
    more = "bbox_thr_lw: 0.6 bbox_thr_hg: 0.9 iou_weighted: " + ("true" if weighted else "false")
    layer = proposal_target(f"{TEXT} {more}", f"bbox_reg_param {{ {NORM} }}", 7)
    tops = check_forward(layer, [rows, right], states=STATE, rtol=1e-4, atol=1e-4)
    regions, labels, targets, inside, outside, own, weights = (top[:, :, 0, 0].astype(float) for top in tops)
    objects = labels[:, 0] > 0
    assert objects.sum() == 8 and len(labels) == 32 and len(np.unique(regions, axis=0)) == 32
    for index, region in enumerate(regions):
        overlaps = [iou(region[1:], box[1:5]) * (box[0] == region[0]) for box in right.astype(float)]
        best = int(np.argmax(overlaps))
        assert (overlaps[best] >= 0.5 and not right[best, 6]) if objects[index] else overlaps[best] < 0.49
        expected = np.zeros((4, 4))
        if objects[index]:
            assert labels[index] == right[best, 5]
            code = coded(region[1:], right[best, 1:5])
            numbers = (np.array(code) - (0, 0, 0, 0.5)) / (0.1, 0.1, 0.2, 0.4)
            expected[int(right[best, 5])] = numbers
            np.testing.assert_allclose(
                own[index], [right[best, 5], *right[best, 1:5], overlaps[best]], rtol=1e-5
            )
        np.testing.assert_allclose(targets[index], expected.reshape(-1), rtol=1e-4, atol=1e-4)
        counts = (expected != 0).any(1) & (0.6 <= overlaps[best] <= 0.9)
        np.testing.assert_array_equal(inside[index], np.repeat(counts, 4))
    assert 0 < inside.sum() < 4 * objects.sum() and not own[~objects].any()
    np.testing.assert_array_equal(outside, inside)
    np.testing.assert_allclose([weights[objects].sum(), weights[~objects].sum()], [8, 24], rtol=1e-5)
    share = own[objects, 5] if weighted else np.ones(8)
    np.testing.assert_allclose(weights[objects, 0], 8 * share / share.sum(), rtol=1e-5)


def test_what_was_left_fills_the_batch() -> None:
    """In their order, which is not drawn: 5 regions far from every box, whose overlap is below bg_thr_lw."""
    right = np.float32([[0, 10, 10, 49, 49, 2, 0]])
    rows = np.float32([[0, 60 + 9 * n, 60, 80 + 9 * n, 90] for n in range(5)])
    layer = proposal_target("cls_num: 4 batch_size: 4 fg_fraction: 0.5")
    regions, labels, *_ = check_forward(layer, [rows, right], states=STATE)
    np.testing.assert_array_equal(labels.reshape(-1), [2, 0, 0, 0])
    np.testing.assert_array_equal(regions[:, :, 0, 0], [right[0, :5], *rows[:3]])
    layer = proposal_target("cls_num: 4 batch_size: 4 fg_fraction: 0.5 pickup_discard: false")
    regions, labels, *_ = check_forward(layer, [rows, right], states=STATE)
    np.testing.assert_array_equal(labels.reshape(-1), [2] * 4)  # the right box itself, again and again


def test_cascade_sees_no_overlap_of_less_than_a_pixel() -> None:
    rows = np.float32([[0, 10, 0, 19.5, 9]])
    text = (
        "cls_num: 4 batch_size: 1 fg_thr: 0.005 bg_thr_hg: 0 bg_thr_lw: 0 append_gtbox: false fg_fraction: 1"
    )
    for columns, label in ((7, 3), (8, 0)):
        right = np.zeros((1, columns), np.float32)
        right[0, :6] = 0, 20, 0, 29, 9, 3  # half a pixel is shared
        (_, found, *_) = check_forward(proposal_target(text), [rows, right], states=STATE)
        assert found.reshape(-1) == [label]


def test_no_gradient() -> None:
    layer, bottoms = proposal_target(), inputs(0, 9, 2)
    tops = [np.ones(shape, np.float32) for shape in layer.out_shapes([b.shape for b in bottoms])]
    assert run_gradient(layer, bottoms, [], tops, states=STATE) == [None] * 2
    assert layer.allowed_labels([b.shape for b in bottoms]).column == (7, 5)


def test_refuses() -> None:
    for text, message in [
        ("cls_num: 4 batch_size: 0", r"batch_size_ > 0"),
        ("cls_num: 1", "needs cls_num of 2 or more"),
        ("cls_num: 4 fg_thr: 0.4", r"fg_thr >= bg_thr_hg \(0.4 vs. 0.5\)"),
    ]:
        with pytest.raises(NetError, match=message):
            proposal_target(text)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be regions"):
        proposal_target().out_shapes([(9, 4), (2, 7)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be right boxes \(G, 7\) or \(G, 8\)"):
        proposal_target().out_shapes([(9, 5), (2, 5)])

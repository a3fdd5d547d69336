"""BboxAccuracy: against its reference, and box by box."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds
from target_cases import iou, regions_near, right_boxes

from vggrepro.errors import ShapeError

NORM = "bbox_mean: 0 bbox_mean: 0.1 bbox_mean: 0 bbox_mean: 0"
NORM += " bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2"


@few
@given(st.integers(1, 8), st.booleans(), st.booleans(), st.integers(1, 2), st.booleans(), seeds)
def test_bbox_accuracy(number: int, agnostic: bool, norm: bool, tops: int, four: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = right_boxes(seed, number, classes=5)
    rows = np.column_stack([np.zeros(number), regions_near(seed, boxes, number)]).astype(np.float32)
    overlaps = rng.choice([0.5, 0.9, 1], number)
    labels = boxes[:, 4] * (rng.random(number) < 0.7)
    right = np.column_stack([labels, boxes[:, :4], overlaps]).astype(np.float32)
    classes = 2 if agnostic else 5
    coded = rng.normal(0, 0.5, (number, 4 * classes)).astype(np.float32)
    bottoms = [coded, rows, right]
    if four:
        bottoms = [bottom.reshape(*bottom.shape, 1, 1) for bottom in bottoms]
    text = f"bbox_reg_param {{ cls_aware: {'false' if agnostic else 'true'} {NORM if norm else ''} }}"
    named = 'top: "a" top: "b"' if tops == 2 else ""
    found = check_forward(parse(f'type: "BboxAccuracy" {named} {text}'), bottoms)
    scale, shift = ((0.1, 0.1, 0.2, 0.2), (0, 0.1, 0, 0)) if norm else ((1, 1, 1, 1), (0, 0, 0, 0))
    after, before = [], []
    for code, region, own in zip(coded.astype(float), rows.astype(float), right.astype(float), strict=True):
        if own[0] <= 0 or own[5] > 0.975:
            continue
        place = 1 if agnostic else int(own[0])
        x, y, w, h = code[4 * place : 4 * place + 4] * scale + shift
        wide, tall = region[3] - region[1] + 1, region[4] - region[2] + 1
        centre = region[1] + wide / 2 + x * wide, region[2] + tall / 2 + y * tall
        wide, tall = wide * np.exp(w), tall * np.exp(h)
        left, above = centre[0] - wide / 2, centre[1] - tall / 2
        after.append(iou([left, above, left + wide - 1, above + tall - 1], own[1:5]))
        before.append(iou(region[1:], own[1:5]))
    for top, values in zip(found, (after, before), strict=False):
        assert top.shape == (1, 1, 1, 1)
        assert top.item() == pytest.approx(np.mean(values) if values else -1, abs=2e-5)


def test_refuses() -> None:
    layer = parse('type: "BboxAccuracy"')
    assert not layer.has_gradient
    with pytest.raises(ShapeError, match=r"must be \(R, 4 K\), \(R, 5\) and \(R, 6\)"):
        layer.out_shapes([(3, 8), (3, 5), (3, 5)])
    with pytest.raises(ShapeError, match="must have 4 K numbers"):
        layer.out_shapes([(3, 9), (3, 5), (3, 6)])
    with pytest.raises(ShapeError, match="must have 8 numbers"):
        parse('type: "BboxAccuracy" bbox_reg_param { cls_aware: false }').out_shapes(
            [(3, 12), (3, 5), (3, 6)]
        )

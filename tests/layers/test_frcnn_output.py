"""FrcnnOutput: against its reference, and box by box."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds
from target_cases import iou, regions_near, right_boxes

from vggrepro.errors import NetError, ShapeError, UnsupportedError

NO_NMS_KERNEL = ("NonMaxSuppression",)
NORM = "bbox_mean: 0 bbox_mean: 0.1 bbox_mean: 0 bbox_mean: 0"
NORM += " bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2"


def inputs(seed: int, regions: int, classes: int, columns: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = np.column_stack([np.zeros(regions), regions_near(seed, right_boxes(seed, 3), regions)])
    rows[rng.random(regions) < 0.1, 1:] = 0
    scores = rng.permutation(np.linspace(0.01, 0.99, regions * classes)).reshape(regions, classes)
    coded = rng.normal(0, 1, (regions, 4 * columns))
    return [np.float32(x) for x in (scores, coded, rows, [[90, 100]])]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(2, 4),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 5, 500]),
    st.booleans(),
    seeds,
)
def test_frcnn_output(
    regions: int, classes: int, agnostic: bool, norm: bool, most: int, four: bool, seed: int
) -> None:
    bottoms = inputs(seed, regions, classes, 2 if agnostic else classes)
    given_bottoms = [b.reshape(*b.shape, 1, 1) for b in bottoms] if four else bottoms
    text = f"bbox_reg_param {{ cls_aware: {'false' if agnostic else 'true'} {NORM if norm else ''} }}"
    layer = parse(
        f'type: "FrcnnOutput" frcnn_output_param {{ conf_thr: 0.3 iou_thr: 0.4 max_det_num: {most} }} {text}'
    )
    (top,) = check_forward(layer, given_bottoms, without_kernel=NO_NMS_KERNEL, atol=2e-4)
    scale, shift = ((0.1, 0.1, 0.2, 0.2), (0, 0.1, 0, 0)) if norm else ((1, 1, 1, 1), (0, 0, 0, 0))
    prob, coded, rows, _ = (b.astype(float) for b in bottoms)
    found = []
    for label in range(1, classes):
        kept: list[list[float]] = []
        for r in np.argsort(-prob[:, label]):
            _, x1, y1, x2, y2 = rows[r]
            place = 4 * (1 if agnostic else label)
            x, y, w, h = coded[r, place : place + 4] * scale + shift
            wide, tall = x2 - x1 + 1, y2 - y1 + 1
            centre = (x1 + x2) / 2 + x * wide, (y1 + y2) / 2 + y * tall
            half = (wide * np.exp(w) - 1) / 2, (tall * np.exp(h) - 1) / 2
            box = [max(centre[0] - half[0], 0), max(centre[1] - half[1], 0)]
            box += [min(centre[0] + half[0], 100), min(centre[1] + half[1], 90)]
            if prob[r, label] < 0.3 or not rows[r, 1:].any() or box[2] < box[0] or box[3] < box[1]:
                continue
            if all(iou(box, other) <= 0.4 for other in kept):
                kept.append(box)
                found.append([0, *box, label, prob[r, label]])
    if most:
        surest = sorted(found, key=lambda row: -row[6])[:most]
        found = [row for row in found if row in surest]
    expected = np.full((top.shape[0], 7), -1.0)
    expected[0, 0] = 0
    expected[1 : 1 + len(found)] = np.reshape(found, (-1, 7))
    np.testing.assert_allclose(top[:, :, 0, 0], expected, rtol=1e-4, atol=1e-3)


def test_refuses() -> None:
    layer = parse('type: "FrcnnOutput"')
    assert not layer.has_gradient
    with pytest.raises(ShapeError, match=r"must be \(R, C\), \(R, 4 C\) and \(R, 5\)"):
        layer.out_shapes([(3, 4), (3, 8), (3, 5), (1, 2)])
    with pytest.raises(ShapeError, match=r"bottom\[3\] must be height and width"):
        layer.out_shapes([(3, 4), (3, 16), (3, 5), (1, 3)])
    with pytest.raises(UnsupportedError, match="nms_type 'IOMU'"):
        parse('type: "FrcnnOutput" frcnn_output_param { nms_type: "IOMU" }')
    with pytest.raises(NetError, match="iou_thr must not be negative"):
        parse('type: "FrcnnOutput" frcnn_output_param { iou_thr: -1 }')

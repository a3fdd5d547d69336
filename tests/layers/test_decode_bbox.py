"""DecodeBBox: against its reference, and box by box."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.caffe.messages import TRAIN
from vggrepro.errors import NetError, ShapeError

TEXT = (
    'type: "DecodeBBox" bbox_reg_param { bbox_mean: 0 bbox_mean: 0.1 bbox_mean: 0 bbox_mean: -0.1'
    " bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.3 }"
)


@few
@given(st.sampled_from(['type: "DecodeBBox"', TEXT]), st.integers(1, 6), st.booleans(), st.booleans(), seeds)
def test_decode_bbox(text: str, number: int, four: bool, free: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coded = rng.normal(0, 1, (number, 8)).astype(np.float32)
    corners = rng.uniform(0, 50, (number, 2))
    rows = np.column_stack([rng.integers(0, 3, number), corners, corners + rng.uniform(0, 40, (number, 2))])
    rows = rows.astype(np.float32).reshape((number, 5, 1, 1) if four else (number, 5))
    dims = [(None, *a.shape[1:]) if free else a.shape for a in (coded, rows)]
    (top,) = check_forward(parse(text), [coded, rows], dims=dims)
    means, stds = (0, 0.1, 0, -0.1), (0.1, 0.1, 0.2, 0.3)
    for code, box, found in zip(coded.astype(float), rows.reshape(number, 5), top[:, :, 0, 0], strict=True):
        x, y, w, h = code[4:] * stds + means if text == TEXT else code[4:]
        image, x1, y1, x2, y2 = map(float, box)
        centre = (x1 + x2) / 2 + x * (x2 - x1 + 1), (y1 + y2) / 2 + y * (y2 - y1 + 1)
        width, height = np.exp(w) * (x2 - x1 + 1), np.exp(h) * (y2 - y1 + 1)
        left, above = centre[0] - (width - 1) / 2, centre[1] - (height - 1) / 2
        expected = [image, left, above, left + width - 1, above + height - 1]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_refuses() -> None:
    layer = parse(TEXT)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(R, 8\)"):
        layer.out_shapes([(3, 12), (3, 5)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(R, 5\)"):
        layer.out_shapes([(3, 8), (4, 5)])
    with pytest.raises(NetError, match="needs four bbox_mean"):
        parse('type: "DecodeBBox" bbox_reg_param { bbox_mean: 1 bbox_std: 1 }')
    with pytest.raises(ShapeError, match=r"bottom\[2\] must be \(R, 6\)"):
        layer.out_shapes([(3, 8), (3, 5), (3, 5)])
    with pytest.raises(NetError, match="with three bottoms"):
        parse(f"{TEXT} bottom: 'a' bottom: 'b' bottom: 'c'")


@few
@given(st.integers(1, 9), st.booleans(), seeds)
def test_training_leaves_boxes_out(number: int, third: bool, seed: int) -> None:
    """Those shorter than a pixel, and those that are right boxes."""
    rng = np.random.default_rng(seed)
    coded = rng.normal(0, 1, (number, 8)).astype(np.float32)
    coded[::3, 6] = -40
    corners = rng.uniform(0, 50, (number, 2))
    rows = np.column_stack([np.zeros(number), corners, corners + rng.uniform(9, 40, (number, 2))])
    right = np.zeros((number, 6), np.float32)
    right[:, 5] = rng.choice([0, 0.8, 0.9, 1], number)
    text = f"{TEXT} decode_bbox_param {{ gt_iou_thr: 0.9 }} bottom: 'a' bottom: 'b'"
    layer = parse(f"{text} bottom: 'c'" if third else text, TRAIN)
    bottoms = [coded, rows.astype(np.float32), right.reshape(number, 6, 1, 1)][: 2 + third]
    (top,) = check_forward(layer, bottoms)
    (whole,) = check_forward(parse(TEXT), bottoms[:2])
    out = np.arange(number) % 3 == 0
    if third:
        out |= right[:, 5] >= np.float32(0.9)
    out |= (whole[:, 3:, 0, 0] < whole[:, 1:3, 0, 0]).any(1)
    np.testing.assert_array_equal(top, whole * ~out.reshape(-1, 1, 1, 1))

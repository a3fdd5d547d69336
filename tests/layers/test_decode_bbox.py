"""DecodeBBox: against its reference, and box by box."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.caffe.messages import TRAIN
from vggrepro.errors import NetError, ShapeError, UnsupportedError

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
    with pytest.raises(UnsupportedError, match="DecodeBBox in TRAIN"):
        parse(TEXT, TRAIN)

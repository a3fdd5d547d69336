"""DetectionGroupAccuracy: against its reference, and place by place."""

from __future__ import annotations

import numpy as np
import pytest
from field_cases import Rule, accuracies, maps
from harness import check_forward, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import NetError, ShapeError

FIELD = (
    "field_w: 30 field_h: 20 field_w: 20 field_h: 30 stride: 8 bg_threshold: 0.4 field_xyr: 3 field_whr: 4"
)
MEAN, STD = (0, 0.1, 0, 0), (0.5, 0.5, 0.8, 0.8)
NORM = "bbox_mean: 0 bbox_mean: 0.1 bbox_mean: 0 bbox_mean: 0"
NORM += " bbox_std: 0.5 bbox_std: 0.5 bbox_std: 0.8 bbox_std: 0.8"


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_place_by_place(
    images: int, size: tuple[int, int], binary: bool, norm: bool, free: bool, seed: int
) -> None:
    classes = 2 if binary else 3
    parts = maps(seed, images, 2, classes, size)
    parts = (np.round(parts[0]), *parts[1:])  # with ties
    bottoms = [x.reshape(-1, *x.shape[2:]) for x in parts]
    text = f"cls_num: {classes} {FIELD} objectness: {str(binary).lower()}"
    layer = parse(
        f'type: "DetectionGroupAccuracy" top: "a" top: "b" detection_group_accuracy_param {{ {text} }}'
        + (f"bbox_reg_param {{ {NORM} }}" if norm else "")
    )
    dims = [(None, *b.shape[1:]) for b in bottoms] if free else None
    found = check_forward(layer, bottoms, dims=dims, rtol=1e-4)
    rule = Rule(((30, 20), (20, 30)), xyr=3, whr=4, binary=binary)
    if norm:
        rule.mean, rule.std = MEAN, STD
    shares, overlap = accuracies(rule, *parts, 0.4, 1, False, 1)
    np.testing.assert_allclose(found[0].reshape(-1), shares, rtol=1e-5)
    assert found[1].item() == pytest.approx(overlap, abs=1e-5)


def test_refuses() -> None:
    text = 'type: "DetectionGroupAccuracy" detection_group_accuracy_param {{ cls_num: 2 {} }}'
    layer = parse(text.format(FIELD))
    assert not layer.has_gradient
    assert layer.out_shapes([(2, 2, 3, 3), (2, 4, 3, 3), (2, 6, 3, 3)]) == ((1, 1, 1, 2),)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(N \* 2, 2, H, W\)"):
        layer.out_shapes([(3, 2, 3, 3), (3, 4, 3, 3), (3, 6, 3, 3)])
    with pytest.raises(NetError, match="as many field_w as field_h"):
        parse(text.format(f"{FIELD} field_w: 3"))

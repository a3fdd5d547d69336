"""DetectionAccuracy: against its reference, and place by place."""

from __future__ import annotations

import numpy as np
import pytest
from field_cases import Rule, accuracies, maps
from harness import check_forward, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer

FIELD = "field_w: 30 field_h: 20 downsample_rate: 8"


def accuracy(text: str = "", classes: int = 4, more: str = "", tops: int = 2) -> Layer:
    named = 'top: "a" top: "b"' if tops == 2 else ""
    param = f"detection_accuracy_param {{ cls_num: {classes} {FIELD} {text} }}"
    return parse(f'type: "DetectionAccuracy" {named} {param} {more}')


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.integers(1, 2),
    seeds,
)
def test_place_by_place(
    images: int, size: tuple[int, int], top_k: int, binary: bool, free: bool, tops: int, seed: int
) -> None:
    classes = 2 if binary else 4
    scores, coded, right = maps(seed, images, 1, classes, size)
    scores = np.round(scores)  # with ties
    bottoms = [np.concatenate([scores, coded], axis=2)[:, 0], right[:, 0]]
    text = f"top_k: {top_k} bg_threshold: 0.4 field_xyr: 3 objectness: {str(binary).lower()}"
    dims = [(None, *b.shape[1:]) for b in bottoms] if free else None
    found = check_forward(accuracy(text, classes, tops=tops), bottoms, dims=dims, rtol=1e-4)
    rule = Rule(((30, 20),), xyr=3, binary=binary)
    shares, overlap = accuracies(rule, scores, coded, right, 0.4, top_k, True, 0)
    np.testing.assert_allclose(found[0].reshape(-1), shares, rtol=1e-5)
    if tops == 2:
        assert found[1].item() == pytest.approx(overlap, abs=1e-5)


def test_ignored_labels_do_not_count() -> None:
    scores, coded, right = maps(1, 1, 1, 4, (5, 6))
    bottoms = [np.concatenate([scores, coded], axis=2)[:, 0], right[:, 0]]
    objects = right[0, 0, 0] == 2
    assert objects.any()
    found = check_forward(accuracy(more="loss_param { ignore_label: 2 }"), bottoms, rtol=1e-4)
    right[0, 0, 0][objects], right[0, 0, 5][objects] = 0, 1  # background that does not count either
    expected = check_forward(accuracy(), [bottoms[0], right[:, 0]], rtol=1e-4)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b)


def test_refuses() -> None:
    assert not accuracy().has_gradient
    for text, message in [
        ("coord_num: 5", "coord_num must be 4"),
        ("top_k: 5", "top_k from 1 to cls_num"),
        ("field_whr: 0.5", "field_whr at least 1"),
    ]:
        with pytest.raises(NetError, match=message):
            accuracy(text)
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(2, 6, 3, 3\)"):
        accuracy().out_shapes([(2, 8, 3, 3), (2, 6, 3, 4)])

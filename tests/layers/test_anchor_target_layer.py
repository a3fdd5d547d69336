"""AnchorTargetLayer: against its reference, anchor by anchor, and its draws."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds
from target_cases import coded, iou, parse_python, right_boxes

from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.anchor_target_layer import AnchorTargetLayer

MODULE = "module: 'rpn.anchor_target_layer' layer: 'AnchorTargetLayer' param_str: \"%s\""
SMALL = "{'feat_stride': 16, 'scales': [1, 2, 4], 'ratios': [0.5, 1], 'allowed_border': 3}"
STATE = [np.array([7, 0])]


def anchor_target(text: str = SMALL) -> AnchorTargetLayer:
    made = parse_python(MODULE % text)
    assert isinstance(made, AnchorTargetLayer)
    return made


def inputs(seed: int, size: tuple[int, int], boxes: int, anchors: int = 6) -> list[np.ndarray]:
    scores = np.zeros((1, 2 * anchors, *size), np.float32)
    info = np.float32([[16 * size[0] + 5, 16 * size[1] - 3, 1.5]])
    return [scores, right_boxes(seed, boxes), info]


@few
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 7)), st.integers(1, 4), st.booleans(), st.booleans(), seeds
)
def test_anchor_target(size: tuple[int, int], boxes: int, free: bool, image: bool, seed: int) -> None:
    bottoms = inputs(seed, size, boxes)
    if image:
        bottoms.append(np.zeros((1, 3, 8, 8), np.float32))
    dims = [(1, 12, None, None), (None, 5), *(b.shape for b in bottoms[2:])] if free else None
    check_forward(anchor_target(), bottoms, states=[np.array([seed % 99, 0])], dims=dims)


def kinds(layer: AnchorTargetLayer, bottoms: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For each anchor of each place 1, 0 or -1 before anything is drawn, and its targets: (A, H, W, ...)."""
    _, boxes, info = (b.astype(float) for b in bottoms)
    height, width = bottoms[0].shape[2:]
    shape = (len(layer.anchors), height, width)
    kind, targets, overlaps = np.full(shape, -1), np.zeros((*shape, 4)), np.full((*shape, len(boxes)), -1.0)
    for a, y, x in np.ndindex(*shape):
        anchor = np.array(layer.anchors[a]) + [16 * x, 16 * y] * 2
        if min(anchor[:2]) < -3 or anchor[2] >= info[0, 1] + 3 or anchor[3] >= info[0, 0] + 3:
            continue
        overlaps[a, y, x] = [iou(anchor, box) if box[4] > 0 else -1 for box in boxes]
        best = int(overlaps[a, y, x].argmax())
        targets[a, y, x] = coded(anchor, boxes[best])
        kind[a, y, x] = 0 if overlaps[a, y, x].max() < 0.3 else 1 if overlaps[a, y, x].max() >= 0.7 else -1
    for index in range(len(boxes)):
        own = overlaps[..., index]
        if own.max() >= 0:
            kind[(own == own.max()) & (own >= 0)] = 1
    return kind, targets


def test_anchor_by_anchor() -> None:
    """Few enough anchors that all of them count."""
    layer, bottoms = anchor_target(), inputs(3, (6, 7), 3)
    bottoms[1][2] = 0  # no box
    labels, targets, inside, outside = check_forward(layer, bottoms, states=STATE)
    kind, expected = kinds(layer, bottoms)
    assert (kind == 1).sum() >= 2 and (kind == 0).sum() > 20 and (kind == -1).sum() > 20
    np.testing.assert_array_equal(labels.reshape(kind.shape), kind)
    by_anchor = (a.reshape(6, 4, 6, 7).transpose(0, 2, 3, 1) for a in (targets, inside, outside))
    for found, wanted in zip(
        by_anchor,
        (
            expected,
            (kind == 1)[..., None] * np.ones(4),
            (kind >= 0)[..., None] * np.ones(4) / (kind >= 0).sum(),
        ),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_at_most_256_count_and_half_of_them_for_objects() -> None:
    layer, bottoms = anchor_target(), inputs(4, (12, 20), 1)
    bottoms[1] = np.float32([[900, 900, 950, 950, 2]])  # overlaps nothing: every anchor is as good
    kind, _ = kinds(layer, bottoms)
    assert (kind == 1).sum() > 128 and (kind == 0).sum() == 0
    labels, *_ = check_forward(layer, bottoms, states=STATE)
    assert (labels == 1).sum() == 128 and (labels == 0).sum() == 0
    bottoms[1] = right_boxes(1, 2)
    kind, _ = kinds(layer, bottoms)
    drawn = [layer.reference([b.astype(float) for b in bottoms], (), [np.array([s, 0])]) for s in (0, 1)]
    for found in drawn:
        flat = found.tops[0].reshape(kind.shape)
        assert (flat >= 0).sum() == 256 and (flat == 1).sum() == (kind == 1).sum()
        assert ((flat == -1) | (flat == kind)).all()
    assert (drawn[0].tops[0] != drawn[1].tops[0]).any()
    assert [f.next_states[0].tolist() for f in drawn] == [[1, 0], [2, 0]]


@pytest.mark.parametrize("boxes", [np.zeros((2, 5), np.float32), np.float32([[0, 0, 9, 9, -1]])])
def test_an_image_without_boxes_is_background(boxes: np.ndarray) -> None:
    bottoms = inputs(0, (5, 5), 1)
    labels, _, inside, _ = check_forward(anchor_target(), [bottoms[0], boxes, bottoms[2]], states=STATE)
    assert set(np.unique(labels)) == {-1, 0} and not inside.any()


def test_an_image_without_room_for_anchors_teaches_nothing() -> None:
    bottoms = inputs(0, (1, 1), 1, anchors=9)
    labels, targets, inside, outside = check_forward(
        anchor_target("'feat_stride': 16"), bottoms, states=STATE
    )
    assert (labels == -1).all() and not any(a.any() for a in (targets, inside, outside))


def test_no_gradient() -> None:
    layer, bottoms = anchor_target(), inputs(0, (3, 3), 1)
    tops = [np.ones(shape, np.float32) for shape in layer.out_shapes([b.shape for b in bottoms])]
    assert run_gradient(layer, bottoms, [], tops, states=STATE) == [None] * 3


def test_refuses() -> None:
    for text in ("'scales': [8]", "'feat_stride': 16\\n'base': 3"):
        with pytest.raises(UnsupportedError, match="expected 'feat_stride', and if need be"):
            anchor_target(text)
    layer = anchor_target()
    with pytest.raises(ShapeError, match=r"6 anchors need bottom\[0\] \(1, 12, H, W\)"):
        layer.out_shapes([(1, 18, 3, 3), (2, 5), (1, 3)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be right boxes"):
        layer.out_shapes([(1, 12, 3, 3), (2, 4), (1, 3)])
    with pytest.raises(ShapeError, match=r"bottom\[2\] must be height"):
        layer.out_shapes([(1, 12, 3, 3), (2, 5), (3,)])

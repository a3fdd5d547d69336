"""ProposalTargetLayer: against its reference, region by region, and R-FCN's variants."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds
from target_cases import coded, iou, parse_python, regions_near, right_boxes

from vggrepro.caffe.text import parse_net
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.proposal_target_layer import ProposalTargetLayer
from vggrepro.net.forks import with_defaults
from vggrepro.net.kinds import class_of

MODULE = "module: 'rpn.proposal_target_layer' layer: 'ProposalTargetLayer' param_str: \"%s\""
STATE = [np.array([3, 0])]


def proposal_target(text: str = "'num_classes': 4") -> ProposalTargetLayer:
    made = parse_python(MODULE % text)
    assert isinstance(made, ProposalTargetLayer)
    return made


def of_fork(fork: str | None, classes: int = 2) -> ProposalTargetLayer:
    text = MODULE % f"'num_classes': {classes}"
    net = parse_net(f'layer {{ name: "l" type: "Python" python_param {{ {text} }} }}')
    (definition,) = with_defaults(net, fork).layer
    made = class_of(definition).from_param(definition, 0)
    assert isinstance(made, ProposalTargetLayer)
    return made


def inputs(seed: int, regions: int, boxes: int) -> list[np.ndarray]:
    right = right_boxes(seed, boxes)
    rows = np.column_stack([np.zeros(regions), regions_near(seed, right, regions)]).astype(np.float32)
    return [rows, right]


@few
@given(st.integers(1, 300), st.integers(1, 4), st.booleans(), st.sampled_from([2, 4]), seeds)
def test_proposal_target(regions: int, boxes: int, four: bool, classes: int, seed: int) -> None:
    rows, right = inputs(seed, regions, boxes)
    right[1:2] = 0
    rows = rows.reshape(-1, 5, 1, 1) if four else rows
    layer = proposal_target(f"'num_classes': {classes}")
    check_forward(layer, [rows, right], states=[np.array([seed % 99, 0])], rtol=1e-4, atol=2e-4)


def test_region_by_region() -> None:
    rows, right = inputs(5, 200, 3)
    tops = check_forward(proposal_target(), [rows, right], states=STATE, rtol=1e-4, atol=1e-4)
    regions, labels, targets, inside, outside = (top[:, :, 0, 0] for top in tops)
    assert 5 < (labels > 0).sum() <= 32 and len(labels) == 128
    candidates = np.concatenate([rows[:, 1:], right[:, :4]])
    assert len(np.unique(regions, axis=0)) == 128
    for region, label, target, weight in zip(
        regions.astype(float), labels[:, 0], targets, inside, strict=True
    ):
        assert region[0] == 0 and (candidates == region[1:].astype(np.float32)).all(1).any()
        overlaps = [iou(region[1:], box) for box in right.astype(float)]
        match = int(np.argmax(overlaps))
        assert label == (right[match, 4] if overlaps[match] >= 0.5 else 0)
        expected, ones = np.zeros((4, 4)), np.zeros((4, 4))
        if label:
            expected[int(label)] = coded(region[1:], right[match], (0.1, 0.1, 0.2, 0.2))
            ones[int(label)] = 1
        np.testing.assert_allclose(target, expected.reshape(-1), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(weight, ones.reshape(-1))
    np.testing.assert_array_equal(outside, inside)


def test_objects_of_two_classes_share_columns() -> None:
    """R-FCN's AGNOSTIC: labels up to 20, places of one class of objects."""
    rows, right = inputs(6, 40, 2)
    right[:, 4] = 7, 20
    layer = proposal_target("'num_classes': 2")
    _, labels, targets, inside, _ = check_forward(layer, [rows, right], states=STATE, rtol=1e-4, atol=1e-4)
    assert set(np.unique(labels)) == {0, 7, 20} and targets.shape == (128, 8, 1, 1)
    assert ((labels > 0) == (inside[:, 4:5] == 1)).all() and not inside[:, :4].any()
    assert layer.allowed_labels([]) is None
    assert proposal_target().allowed_labels([]).classes == 4


def test_forks() -> None:
    """Their batches, and where the background begins."""
    rows, right = inputs(7, 90, 2)
    shapes = [(90, 5), (2, 5)]
    plain, fork, ohem = (of_fork(name) for name in (None, "r-fcn", "r-fcn-ohem"))
    assert [layer.out_shapes(shapes)[0] for layer in (plain, fork, ohem)] == [
        (128, 5, 1, 1),
        (128, 5, 1, 1),
        (92, 5, 1, 1),
    ]
    least = {}
    for name, layer in (("plain", plain), ("fork", fork), ("ohem", ohem)):
        regions, labels, *_ = check_forward(layer, [rows, right], states=STATE, rtol=1e-4, atol=1e-4)
        overlaps = [max(iou(row[1:, 0, 0], box) for box in right) for row in regions.astype(float)]
        least[name] = min(overlaps)
        if name == "ohem":
            assert len(np.unique(regions, axis=0)) == 92 and (labels > 0).sum() > 32
    assert least["fork"] >= 0.1 > least["plain"] and least["ohem"] < 0.1


def test_no_gradient() -> None:
    layer, bottoms = proposal_target(), inputs(0, 9, 2)
    tops = [np.ones(shape, np.float32) for shape in layer.out_shapes([b.shape for b in bottoms])]
    assert run_gradient(layer, bottoms, [], tops, states=STATE) == [None] * 2


def test_refuses() -> None:
    for text in ("'num_classes': 1", "'num_classes': 21\\n'batch': 3", "'feat_stride': 16"):
        with pytest.raises(UnsupportedError, match="expected 'num_classes', 2 or more, and nothing else"):
            proposal_target(text)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be regions"):
        proposal_target().out_shapes([(9, 4), (2, 5)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be right boxes"):
        proposal_target().out_shapes([(9, 5), (2, 7)])

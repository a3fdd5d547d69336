"""Proposal and py-faster-rcnn's ProposalLayer: against their reference, and a second implementation here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN, LayerParameter
from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.proposal import Proposal
from vggrepro.net import build_net

NO_NMS_KERNEL = ("NonMaxSuppression",)

PUBLISHED = [
    [-83, -39, 100, 56],
    [-175, -87, 192, 104],
    [-359, -183, 376, 200],
    [-55, -55, 72, 72],
    [-119, -119, 136, 136],
    [-247, -247, 264, 264],
    [-35, -79, 52, 96],
    [-79, -167, 96, 184],
    [-167, -343, 184, 360],
]
"""The nine anchors that py-faster-rcnn's comments list, counted from 1 as in MATLAB; here one less."""


def proposal(text: str, tops: int = 1) -> Proposal:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    layer = parse(f'type: "Proposal" {named} proposal_param {{ {text} }}')
    assert isinstance(layer, Proposal)
    return layer


def python(param_str: str = "'feat_stride': 16", phase: int = TEST, tops: int = 1) -> Proposal:
    named = " ".join(f'top: "t{index}"' for index in range(tops))
    body = f"""module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "{param_str}" """
    net = parse_net(
        'layer { name: "i" type: "Input" top: "a" top: "b" top: "c" input_param {'
        " shape { dim: [1, 18, 4, 5] } shape { dim: [1, 36, 4, 5] } shape { dim: [1, 3] } } }"
        f'layer {{ name: "p" type: "Python" bottom: ["a", "b", "c"] {named} python_param {{ {body} }} }}'
    )
    layer = build_net(net, "TRAIN" if phase == TRAIN else "TEST").layers[1].layer
    assert isinstance(layer, Proposal)
    return layer


def bottoms(seed: int, anchors: int, height: int, width: int, info: list[float]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = values(seed, (1, 2 * anchors, height, width), 0, 1)
    offsets = rng.normal(0, 0.4, (1, 4 * anchors, height, width)).astype(np.float32)
    return [scores, offsets, np.array([info], np.float32)]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Of two boxes whose last pixels are included."""
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    tall = min(a[3], b[3]) - max(a[1], b[1]) + 1
    common = max(wide, 0) * max(tall, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return common / (sum(areas) - common)


def slowly(layer: Proposal, arrays: list[np.ndarray], least: list[float]) -> list[list[float]]:
    """Box by box, as the layers of the forks are written down; each row is a box and its score."""
    scores, offsets, info = (a.astype(float) for a in arrays)
    number = len(layer.anchors)
    found = []
    for row, column, k in np.ndindex(*scores.shape[2:], number):
        x1, y1, x2, y2 = layer.anchors[k]
        w, h = x2 - x1 + 1, y2 - y1 + 1
        dx, dy, dw, dh = offsets[0, 4 * k : 4 * k + 4, row, column]
        x = column * layer.stride + x1 + w / 2 + dx * w
        y = row * layer.stride + y1 + h / 2 + dy * h
        w, h = np.exp(dw) * w, np.exp(dh) * h
        corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        corners = corners.clip(0, [info[0, 1] - 1, info[0, 0] - 1] * 2)
        score = scores[0, number + k, row, column]
        if corners[2] - corners[0] + 1 < least[0] or corners[3] - corners[1] + 1 < least[1]:
            if layer.drops_small:
                continue
            score = 0
        found.append((score, corners))
    found.sort(key=lambda pair: -pair[0])
    kept: list[tuple[float, np.ndarray]] = []
    for score, box in found[: layer.pre_nms]:
        if all(overlap(box, other) <= layer.nms_threshold for _, other in kept):
            kept.append((score, box))
    return [[*box, score] for score, box in kept[: layer.post_nms]]


def filled(rows: list[list[float]], size: int) -> np.ndarray:
    return np.array(rows + [[0.0] * 5] * (size - len(rows)))


@few
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 5)),
    st.sampled_from([(0.7, 60, 9), (0.3, 500, 40), (0.5, 7, 20)]),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_cpp(
    size: tuple[int, int], limits: tuple[float, int, int], scores: bool, free: bool, seed: int
) -> None:
    threshold, before, after = limits
    layer = proposal(
        f"ratio: 0.5 ratio: 2 scale: 2 scale: 4 scale: 6 feat_stride: 8 min_size: 12 base_size: 8"
        f" nms_thresh: {threshold} pre_nms_topn: {before} post_nms_topn: {after}",
        tops=2 if scores else 1,
    )
    arrays = bottoms(seed, 6, *size, [40, 50, 1.5, 0.5])
    dims = [(1, b.shape[1], None, None) if free and b.ndim == 4 else b.shape for b in arrays]
    check_forward(layer, arrays, dims=dims, without_kernel=NO_NMS_KERNEL, atol=2e-4)


@pytest.mark.parametrize("tops", [1, 2])
def test_cpp_by_another_implementation(tops: int) -> None:
    layer = proposal(
        "ratio: 0.5 ratio: 1 scale: 1 scale: 3 feat_stride: 8 min_size: 12 nms_thresh: 0.4"
        " pre_nms_topn: 70 post_nms_topn: 30",
        tops,
    )
    arrays = bottoms(1, 4, 5, 6, [50, 60, 1.5, 0.75])
    tops_ = check_forward(layer, arrays, without_kernel=NO_NMS_KERNEL, atol=2e-4)
    rows = slowly(layer, arrays, [12 * 0.75, 12 * 1.5])
    assert 5 < len(rows) < 30  # some places are filled
    expected = filled(rows, 30)
    np.testing.assert_allclose(tops_[0][:, 1:], expected[:, :4], atol=1e-3)
    assert (tops_[0][:, 0] == 0).all()
    if tops == 2:
        np.testing.assert_allclose(tops_[1], expected[:, 4], rtol=1e-6)


@pytest.mark.parametrize("phase", [TEST, TRAIN])
def test_python_layer_by_another_implementation(phase: int) -> None:
    layer = python("'feat_stride': 16", phase, tops=2)
    assert (layer.pre_nms, layer.post_nms) == ((12000, 2000) if phase == TRAIN else (6000, 300))
    small = replace(layer, pre_nms=90, post_nms=40)
    arrays = bottoms(2, 9, 4, 6, [80, 90, 2.5])
    regions, scores = check_forward(small, arrays, without_kernel=NO_NMS_KERNEL, atol=2e-4)
    rows = slowly(small, arrays, [40, 40])
    assert 3 < len(rows) < 40
    expected = filled(rows, 40)
    np.testing.assert_allclose(regions[:, 1:], expected[:, :4], atol=1e-3)
    np.testing.assert_allclose(scores, expected[:, 4], rtol=1e-6)


def test_nothing_is_large_enough() -> None:
    arrays = bottoms(0, 9, 2, 2, [20, 20, 2])
    layer = replace(python(), post_nms=5)
    (regions,) = check_forward(layer, arrays, without_kernel=NO_NMS_KERNEL)
    assert (regions == 0).all()


def test_anchors() -> None:
    assert np.array(python().anchors).tolist() == (np.array(PUBLISHED) - 1).tolist()
    text = "ratio: 0.5 ratio: 1 ratio: 2 scale: 8 scale: 16 scale: 32"
    assert np.array(proposal(text).anchors).tolist() == (np.array(PUBLISHED) - 1).tolist()


@pytest.mark.parametrize(
    "param_str",
    [
        r"'feat_stride': 8\n'scales': !!python/tuple [4, 8]",
        r"feat_stride: 8\nscales: [4, 8]",
        "{'feat_stride': 8, 'scales': [4, 8], 'ratios': [0.5, 1, 2]}",
    ],
)
def test_what_param_str_says(param_str: str) -> None:
    layer = parse(
        'type: "Proposal" proposal_param { ratio: 0.5 ratio: 1 ratio: 2 scale: 4 scale: 8 feat_stride: 8 }'
    )
    definition = LayerParameter(type="Python")
    definition.python_param.param_str = param_str.encode().decode("unicode_escape")
    found = Proposal.from_param(definition, TEST)
    assert found.anchors == layer.anchors
    assert found.stride == 8


def test_other_python_layers_stay_unknown() -> None:
    for module, name in (("rpn.proposal_layer", "Other"), ("mine", "ProposalLayer")):
        with pytest.raises(UnsupportedError, match=f"Unknown layer type: Python .class '{name}' of module"):
            build_net(
                parse_net(
                    'layer { name: "i" type: "Input" top: "a" input_param { shape { dim: 1 } } }'
                    'layer { name: "p" type: "Python" bottom: "a" top: "p"'
                    f' python_param {{ module: "{module}" layer: "{name}" }} }}'
                ),
                "TEST",
            )


def test_no_gradient_flows() -> None:
    layer = replace(python(), post_nms=3)
    assert (
        run_gradient(layer, bottoms(0, 9, 2, 2, [20, 20, 2]), [], [np.ones((3, 5), np.float32)]) == [None] * 3
    )


def test_refuses() -> None:
    with pytest.raises(NetError, match="layer 'l': proposal_param: needs ratio and scale"):
        proposal("ratio: 1")
    with pytest.raises(UnsupportedError, match="must be above 0"):
        proposal("ratio: 1 scale: 1 post_nms_topn: 0")
    with pytest.raises(UnsupportedError, match=r"layer 'p': param_str .*expected 'feat_stride'"):
        python("'scales': [1]")
    with pytest.raises(UnsupportedError, match=r"layer 'p': param_str .*expected 'feat_stride'"):
        python(r"'feat_stride': 16\n'colour': 3")
    with pytest.raises(NetError, match=r"layer 'p': param_str .* is not a list of entries"):
        python("feat_stride = 16")
    layer = proposal("ratio: 1 scale: 1 scale: 2")
    assert layer.out_shapes([(1, 4, 3, 5), (1, 8, 3, 5), (1, 3)]) == ((300, 5),)
    for shapes, problem in (
        ([(2, 4, 3, 5), (2, 8, 3, 5), (2, 3)], "Only single item batches"),
        ([(1, 6, 3, 5), (1, 8, 3, 5), (1, 3)], "2 anchors need bottoms"),
        ([(1, 4, 3, 5), (1, 8, 3, 4), (1, 3)], "2 anchors need bottoms"),
        ([(1, 4, 3, 5), (1, 8, 3, 5), (1, 2)], "height, width and scale"),
    ):
        with pytest.raises(ShapeError, match=problem):
            layer.out_shapes(shapes)

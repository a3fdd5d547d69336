"""YoloDetectionOutput and Yolov3DetectionOutput: against their references, and loops of the test's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds, values

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

NO_NMS_KERNEL = ("NonMaxSuppression",)
BIASES = (0.7, 0.9, 2.4, 2.7, 4.3, 7.0, 10.2, 4.6)


def repeated(name: str, numbers: tuple[float, ...]) -> str:
    return " ".join(f"{name}: {number}" for number in numbers)


def yolo(text: str, bottoms: int = 1, biases: tuple[float, ...] = BIASES) -> Layer:
    return parse(
        "type: 'YoloDetectionOutput' "
        + "bottom: 'x' " * bottoms
        + f" yolo_detection_output_param {{ {repeated('biases', biases)} {text} }}"
    )


def yolo3(text: str, bottoms: int = 2, biases: tuple[float, ...] = BIASES) -> Layer:
    return parse(
        "type: 'Yolov3DetectionOutput' "
        + "bottom: 'x' " * bottoms
        + f" yolov3_detection_output_param {{ {repeated('biases', biases)} {text} }}"
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def overlap(a: list[float], b: list[float]) -> float:
    """Of rows of the top."""
    sides = [min(a[5 + i], b[5 + i]) - max(a[3 + i], b[3 + i]) for i in range(2)]
    if min(sides) < 0:
        return 0
    shared = sides[0] * sides[1]
    return shared / (sum((box[5] - box[3]) * (box[6] - box[4]) for box in (a, b)) - shared)


def detections(candidates: list[list[float]], threshold: float) -> list[list[float]]:
    """What stays, as the fork's loops are written down."""
    ranked = sorted(candidates, key=lambda row: -row[2])
    gone: set[int] = set()
    for i in range(len(ranked)):
        if i not in gone:
            gone |= {j for j in range(i + 1, len(ranked)) if overlap(ranked[i], ranked[j]) >= threshold}
    return [row for i, row in enumerate(ranked) if i not in gone]


def row(cell: tuple[int, int], numbers: np.ndarray, anchor: tuple[float, float], grid: int) -> list[float]:
    """xmin, ymin, xmax, ymax; ``grid``: the side; the anchor in units of the image."""
    x, y = ((cell[1 - i] + sigmoid(numbers[i])) / grid for i in range(2))
    w, h = (math.exp(numbers[2 + i]) * anchor[i] for i in range(2))
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def check_rows(top: np.ndarray, expected: list[list[float]]) -> None:
    assert expected
    np.testing.assert_allclose(top[0, 0, : len(expected)], expected, rtol=1e-4, atol=1e-5)
    assert (top[0, 0, len(expected) :] == -1).all()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=2),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0, 0.1, 0.4, 2]),
    st.sampled_from([0.1, 0.45, 1]),
    seeds,
)
def test_yolo(sides: list[int], classes: int, boxes: int, least: float, threshold: float, seed: int) -> None:
    layer = yolo(
        f"num_classes: {classes} num_box: {boxes} confidence_threshold: {least} nms_threshold: {threshold}",
        len(sides),
    )
    bottoms = [values(seed + s, (1, boxes * (5 + classes), s, s), -2, 2) for s in sides]
    check_forward(layer, bottoms, without_kernel=NO_NMS_KERNEL)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from([0, 0.1, 0.4, 2]),
    st.sampled_from([0.1, 0.45, 1]),
    seeds,
)
def test_yolo3(sides: list[int], classes: int, least: float, threshold: float, seed: int) -> None:
    number = len(sides)
    layer = yolo3(
        f"num_classes: {classes} num_box: 2 confidence_threshold: {least} nms_threshold: {threshold}"
        f" mask_group_num: {number} {repeated('anchors_scale', (8, 4, 2)[:number])}"
        f" {repeated('mask', (2, 3, 1, 2, 0, 1)[: 2 * number])}",
        number,
    )
    bottoms = [values(seed + s, (1, 2 * (5 + classes), s, s), -2, 2) for s in sides]
    check_forward(layer, bottoms, without_kernel=NO_NMS_KERNEL)


def test_yolo_by_loops() -> None:
    layer = yolo("num_classes: 3 num_box: 2 confidence_threshold: 0.2 nms_threshold: 0.3")
    x = values(5, (1, 16, 4, 4), -2, 2)
    (top,) = check_forward(layer, [x], without_kernel=NO_NMS_KERNEL)
    candidates = []
    for i, j, n in np.ndindex(4, 4, 2):
        numbers = x[0, 8 * n : 8 * n + 8, i, j].astype(float)
        powers = [math.exp(v) for v in numbers[5:]]
        best = max(range(3), key=powers.__getitem__)
        confidence = powers[best] / sum(powers) * sigmoid(numbers[4])
        anchor = (BIASES[2 * n] / 4, BIASES[2 * n + 1] / 4)
        if confidence >= 0.2:
            candidates.append([0, best + 1, confidence, *row((i, j), numbers, anchor, 4)])
    check_rows(top, detections(candidates, 0.3))


def test_yolo3_by_loops() -> None:
    """Each class of a box is a candidate in the fork."""
    biases = (10, 14, 23, 27, 37, 58, 81, 82)
    layer = yolo3(
        "num_classes: 3 num_box: 2 confidence_threshold: 0.3 nms_threshold: 0.45 mask: 2 mask: 3 mask: 0"
        " mask: 1 anchors_scale: 32 anchors_scale: 16",
        biases=biases,
    )
    bottoms = [values(3, (1, 16, 3, 3), -2, 2), values(4, (1, 16, 5, 5), -2, 2)]
    (top,) = check_forward(layer, bottoms, without_kernel=NO_NMS_KERNEL)
    candidates = []
    for x, which, scale in zip(bottoms, ((2, 3), (0, 1)), (32, 16), strict=True):
        side = x.shape[3]
        for i, j, n in np.ndindex(side, side, 2):
            numbers = x[0, 8 * n : 8 * n + 8, i, j].astype(float)
            anchor = tuple(biases[2 * which[n] + k] / (side * scale) for k in range(2))
            box = row((i, j), numbers, (anchor[0], anchor[1]), side)
            for label in range(3):
                confidence = sigmoid(numbers[5 + label]) * sigmoid(numbers[4])
                if confidence > 0.3:
                    candidates.append([0, label + 1, confidence, *box])
    assert len(candidates) > 30
    check_rows(top, detections(candidates, 0.45))


def test_nothing_found() -> None:
    layer = yolo("num_classes: 2 num_box: 1 confidence_threshold: 0.9")
    (top,) = check_forward(layer, [np.zeros((1, 7, 2, 2), np.float32)], without_kernel=NO_NMS_KERNEL)
    assert top.tolist() == [[[[0, *[-1] * 6], *[[-1] * 7] * 3]]]


def test_needs_a_fixed_grid() -> None:
    layer = yolo("num_classes: 2 num_box: 1")
    with pytest.raises(FixedShapeError):
        layer.emit(GraphBuilder(), [Value("x", (1, 7, None, None))], [], [])
    layer.emit(GraphBuilder(), [Value("x", (None, 7, 2, 2))], [], [])
    assert not layer.has_gradient


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("", NetError, "Must specify num_classes"),
        ("num_classes: 2 num_box: 5", NetError, "8 biases are too few"),
        ("num_classes: 2 num_box: 1 coords: 5", UnsupportedError, "coords 5"),
        ("num_classes: 2 num_box: 1 nms_threshold: 0", UnsupportedError, "nms_threshold 0.0, only above 0"),
    ],
)
def test_yolo_refuses_parameters(text: str, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=f"layer 'l': .*{problem}"):
        yolo(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("num_classes: 2 mask_group_num: 3", r"bottom.size\(\) == mask_group_num \(2 vs. 3\)"),
        ("num_classes: 2 anchors_scale: 32 mask: 0 mask: 1", "needs an anchors_scale for each of 2 bottoms"),
        ("num_classes: 2 anchors_scale: 32 anchors_scale: 16 mask: 0 mask: 1", "2 mask are too few for 2"),
        (
            "num_classes: 2 num_box: 1 anchors_scale: 32 anchors_scale: 16 mask: 0 mask: 4",
            r"8 biases are too few for the anchors \[4\]",
        ),
    ],
)
def test_yolo3_refuses_parameters(text: str, problem: str) -> None:
    with pytest.raises(NetError, match=f"layer 'l': .*{problem}"):
        yolo3(text)


def test_refuses_shapes() -> None:
    layer = yolo("num_classes: 2 num_box: 3")
    assert layer.out_shapes([(1, 21, 4, 4)]) == ((1, 1, 48, 7),)
    for shape in ((1, 20, 4, 4), (1, 21, 4, 5), (1, 21, 4)):
        with pytest.raises(
            ShapeError, match=r"bottom\[0\] must be \(1, 21, S, S\) for 3 boxes and 2 classes"
        ):
            layer.out_shapes([shape])
    with pytest.raises(UnsupportedError, match="only one image"):
        layer.out_shapes([(2, 21, 4, 4)])
    with pytest.raises(NetError, match="anchors are given for 1 bottoms, there are 2"):
        layer.out_shapes([(1, 21, 4, 4)] * 2)

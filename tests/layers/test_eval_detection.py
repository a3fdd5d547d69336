"""EvalDetection: against its reference, and both YOLOs' rules box by box."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

NO_NMS_KERNEL = ("NonMaxSuppression",)
BIASES = [1.1, 0.8, 2.4, 1.9, 0.6, 3.0]


def eval_detection(text: str) -> Layer:
    return parse(f'type: "EvalDetection" eval_detection_param {{ {text} }}')


def first(seed: int, images: int, side: int, classes: int, boxes: int, objects: float) -> list[np.ndarray]:
    """Predictions and right boxes of the first YOLO; predictions lie near to them."""
    rng = np.random.default_rng(seed)
    cells = side**2
    y = np.zeros((images, 7 * cells))
    y[:, :cells] = rng.random((images, cells)) < 0.3
    y[:, cells : 2 * cells] = rng.random((images, cells)) < objects
    y[:, 2 * cells : 3 * cells] = rng.integers(0, classes, (images, cells))
    y[:, 3 * cells :] = rng.uniform(0.2, 0.8, (images, 4 * cells))
    x = rng.uniform(0, 1, (images, cells * (classes + 5 * boxes)))
    near = y[:, 3 * cells :].reshape(images, cells, 4).transpose(0, 2, 1)
    places = np.repeat(near[:, None], boxes, axis=1) + rng.normal(0, 0.05, (images, boxes, 4, cells))
    x[:, cells * (classes + boxes) :] = places.reshape(images, -1)
    return [x.astype(np.float32), y.astype(np.float32)]


def second(seed: int, images: int, side: int, classes: int, boxes: int, objects: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (images, boxes * (5 + classes), side, side))
    y = np.zeros((images, 30, 5))
    y[:, :objects, 0] = rng.integers(0, classes, (images, objects))
    y[:, :objects, 1:] = rng.uniform(0.2, 0.8, (images, objects, 4))
    return [x.astype(np.float32), y.reshape(images, 150).astype(np.float32)]


def iou(a: list[float], b: list[float]) -> float:
    sides = [
        min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
        for k in (0, 1)
    ]
    shared = sides[0] * sides[1] if min(sides) > 0 else 0.0
    return shared / (a[2] * a[3] + b[2] * b[3] - shared) if shared else 0.0


def boxes_of_first(
    x: np.ndarray, side: int, classes: int, boxes: int, roots: bool, in_cell: bool
) -> list[tuple[int, float, float, list[float]]]:
    """Label, confidence, probability and box of one image, cell by cell."""
    cells, found = side**2, []
    for j in range(cells):
        shares = [x[c * cells + j] for c in range(classes)]
        for k in range(boxes):
            box = [float(x[(classes + boxes + 4 * k + o) * cells + j]) for o in range(4)]
            if in_cell:
                box[:2] = [(box[0] + j % side) / side, (box[1] + j // side) / side]
            if roots:
                box[2:] = [box[2] ** 2, box[3] ** 2]
            found.append(
                (int(np.argmax(shares)), float(x[(classes + k) * cells + j]), float(max(shares)), box)
            )
    return found


def boxes_of_second(
    x: np.ndarray, side: int, classes: int, boxes: int
) -> list[tuple[int, float, float, list[float]]]:
    found = []
    for row in range(side):
        for column in range(side):
            for k in range(boxes):
                own = x[k * (5 + classes) : (k + 1) * (5 + classes), row, column].astype(float)
                shares = np.exp(own[5:]) / np.exp(own[5:]).sum()
                at = [1 / (1 + np.exp(-own[o])) for o in (0, 1, 4)]
                wide, tall = np.exp(own[2]) * BIASES[2 * k] / side, np.exp(own[3]) * BIASES[2 * k + 1] / side
                box = [(at[0] + column) / side, (at[1] + row) / side, wide, tall]
                found.append((int(shares.argmax()), at[2], float(shares.max()), box))
    return found


def judged(
    found: list[tuple[int, float, float, list[float]]],
    right: list[tuple[int, list[float], bool]],
    score: str,
    threshold: float,
    nms: float | None,
    later: bool,
) -> list[list[float]]:
    """Rows of one image; ``later``: the second YOLO's rules."""
    scored = [
        ({"OBJ": sure, "PROB": share, "MULTIPLY": sure * share}[score], label, box)
        for label, sure, share, box in found
    ]
    scored.sort(key=lambda entry: -entry[0])
    kept: list[tuple[float, int, list[float]]] = []
    for entry in scored:
        if nms is None or all(iou(entry[2], other[2]) < nms for other in kept):
            kept.append(entry)
    kept = [entry for entry in kept if not later or entry[0] >= 0.005]
    taken: set[int] = set()
    rows = []
    for sure, label, box in sorted(kept, key=lambda entry: (entry[1], -entry[0])):
        own = [(iou(box, other), -index) for index, (name, other, _) in enumerate(right) if name == label]
        good = bad = 0
        if not own:
            bad = 1
        elif max(own)[0] < threshold:
            bad = 0 if later else 1
        elif not right[-max(own)[1]][2]:
            good, bad = (0, 1) if -max(own)[1] in taken else (1, 0)
            taken.add(-max(own)[1])
        rows.append([label, sure, good, bad])
    return rows


def top_of(
    rows: list[list[float]], right: list[tuple[int, list[float], bool]], classes: int, number: int
) -> np.ndarray:
    totals = [sum(name == c and not difficult for name, _, difficult in right) for c in range(classes)]
    flat = [value for row in rows for value in row]
    return np.array(totals + flat + [0.0] * (4 * number - len(flat)))


@few
@given(
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0, 0.4, 1]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["OBJ", "PROB", "MULTIPLY"]),
    st.sampled_from([None, 0.4]),
    st.booleans(),
    seeds,
)
def test_the_first_yolo(
    images: int,
    side: int,
    classes: int,
    boxes: int,
    objects: float,
    roots: bool,
    in_cell: bool,
    score: str,
    nms: float | None,
    symbolic: bool,
    seed: int,
) -> None:
    bottoms = first(seed, images, side, classes, boxes, objects)
    layer = eval_detection(
        f"side: {side} num_class: {classes} num_object: {boxes} threshold: 0.6 score_type: {score}"
        f" sqrt: {str(roots).lower()} constriant: {str(in_cell).lower()} nms: {-1 if nms is None else nms}"
    )
    dims = [(None, b.shape[1]) for b in bottoms] if symbolic else None
    (top,) = check_forward(layer, bottoms, dims=dims, without_kernel=NO_NMS_KERNEL if nms else ())
    cells = side**2
    for got, x, y in zip(top, *bottoms, strict=True):
        right = [
            (int(y[2 * cells + j]), y[3 * cells + 4 * j :][:4].astype(float).tolist(), y[j] == 1)
            for j in range(cells)
            if y[cells + j]
        ]
        found = boxes_of_first(x, side, classes, boxes, roots, in_cell)
        if score == "PROB" and boxes > 1:  # boxes of a cell may have one score: which comes first is not said
            continue
        rows = judged(found, right, score, 0.6, nms, False)
        np.testing.assert_allclose(got, top_of(rows, right, classes, cells * boxes), rtol=1e-5)


@few
@given(
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 6),
    st.sampled_from(["OBJ", "PROB", "MULTIPLY"]),
    st.booleans(),
    seeds,
)
def test_the_second_yolo(
    images: int, side: int, classes: int, boxes: int, objects: int, score: str, symbolic: bool, seed: int
) -> None:
    bottoms = second(seed, images, side, classes, boxes, objects)
    if classes == 1 and score == "PROB":  # all scores are 1
        score = "OBJ"
    layer = eval_detection(
        f"side: {side} num_class: {classes} num_object: {boxes} threshold: 0.3 score_type: {score} nms: 0.4"
        f" {' '.join(f'biases: {bias}' for bias in BIASES)}"
    )
    dims = [(None, *b.shape[1:]) for b in bottoms] if symbolic else None
    (top,) = check_forward(layer, bottoms, dims=dims, without_kernel=NO_NMS_KERNEL)
    for got, x, y in zip(top, *bottoms, strict=True):
        table = y.reshape(30, 5).astype(float)[:objects]
        right = [(int(row[0]), row[1:].tolist(), False) for row in table]
        rows = judged(boxes_of_second(x, side, classes, boxes), right, score, 0.3, 0.4, True)
        np.testing.assert_allclose(got, top_of(rows, right, classes, side**2 * boxes), rtol=1e-4, atol=1e-6)


def test_refuses() -> None:
    with pytest.raises(NetError, match="must be positive"):
        eval_detection("side: 0")
    with pytest.raises(UnsupportedError, match="nms 0; expected"):
        eval_detection("nms: 0")
    with pytest.raises(UnsupportedError, match="nms -1; expected"):
        eval_detection("biases: 1 biases: 2 num_object: 1")
    with pytest.raises(NetError, match="needs 4 biases, got 3"):
        eval_detection("biases: 1 biases: 2 biases: 2 nms: 0.5")
    layer = eval_detection("side: 2 num_class: 3 num_object: 2")
    assert layer.out_shapes([(2, 4 * 13), (2, 28)]) == ((2, 3 + 4 * 8),)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must hold 13 numbers for each of 4 cells"):
        layer.out_shapes([(2, 50), (2, 28)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(2, 28\)"):
        layer.out_shapes([(2, 52), (2, 29)])

"""DetectionLoss: against its reference, and YOLO's rule cell by cell, its gradient too."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def detection_loss(text: str) -> Layer:
    return parse(f'type: "DetectionLoss" detection_loss_param {{ {text} }}')


def case(seed: int, images: int, side: int, classes: int, boxes: int, objects: float) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    cells = side**2
    y = np.zeros((images, 7 * cells))
    y[:, cells : 2 * cells] = rng.random((images, cells)) < objects
    y[:, 2 * cells : 3 * cells] = rng.integers(0, classes, (images, cells))
    y[:, 3 * cells :] = rng.uniform(0.1, 0.9, (images, 4 * cells))
    x = rng.uniform(-0.2, 1.2, (images, cells * (classes + 5 * boxes)))
    return [x.astype(np.float32), y.astype(np.float32)]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = [
        min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
        for k in (0, 1)
    ]
    if min(sides) < 0:
        return 0.0
    shared = sides[0] * sides[1]
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared)) if shared else 0.0


def by_hand(
    bottoms: list[np.ndarray], side: int, classes: int, boxes: int, roots: bool, in_cell: bool
) -> tuple[float, np.ndarray]:
    """Loss and gradient with the default scales."""
    x, y = (np.asarray(b, np.float64) for b in bottoms)
    cells, images = side**2, len(x)
    slope = np.zeros_like(x)
    obj = cls = place = none = 0.0
    number = 0
    for n in range(images):
        for j in range(cells):
            sure = [(classes + k) * cells + j for k in range(boxes)]
            for p in sure:
                none += 0.5 * x[n, p] ** 2
                slope[n, p] = 0.5 * x[n, p]
            if not y[n, cells + j]:
                continue
            number += 1
            for c in range(classes):
                d = x[n, c * cells + j] - (c == int(y[n, 2 * cells + j]))
                cls += d**2
                slope[n, c * cells + j] = d
            true = y[n, 3 * cells + 4 * j : 3 * cells + 4 * j + 4].copy()
            best_iou, best_far, best = 0.0, 20.0, 0
            for k in range(boxes):
                box = np.array([x[n, (classes + boxes + 4 * k + o) * cells + j] for o in range(4)])
                if in_cell:
                    box[:2] = (box[:2] + np.array([j % side, j // side])) / side
                if roots:
                    box[2:] **= 2
                value, far = iou(box, true), float(np.sqrt(((box - true) ** 2).sum()))
                if best_iou > 0 or value > 0:
                    if value > best_iou:
                        best_iou, best = value, k
                elif far < best_far:
                    best_far, best = far, k
            p = sure[best]
            none -= 0.5 * x[n, p] ** 2
            obj += (x[n, p] - 1) ** 2
            slope[n, p] = x[n, p] - best_iou
            if in_cell:
                true[:2] = true[:2] * side - [j % side, j // side]
            if roots:
                true[2:] = np.sqrt(true[2:])
            for o in range(4):
                index = (classes + boxes + 4 * best + o) * cells + j
                place += 5 * (x[n, index] - true[o]) ** 2
                slope[n, index] = 5 * (x[n, index] - true[o])
    loss = (obj + cls + place) / max(number, 1) + none / max(cells * boxes * images - number, 1)
    return loss, slope / images


@few
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0, 0.3, 1]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_yolos_rule(
    images: int,
    side: int,
    classes: int,
    boxes: int,
    objects: float,
    roots: bool,
    in_cell: bool,
    symbolic: bool,
    seed: int,
) -> None:
    bottoms = case(seed, images, side, classes, boxes, objects)
    flags = f"sqrt: {str(roots).lower()} constriant: {str(in_cell).lower()}"
    layer = detection_loss(f"side: {side} num_class: {classes} num_object: {boxes} {flags}")
    dims = [(None, b.shape[1]) for b in bottoms] if symbolic else None
    (loss,) = check_forward(layer, bottoms, dims=dims)
    wanted, slope = by_hand(bottoms, side, classes, boxes, roots, in_cell)
    assert loss == pytest.approx(wanted, rel=1e-4)
    got = run_gradient(layer, bottoms, (), [np.float32(2)])[0]
    np.testing.assert_allclose(got, 2 * slope, atol=1e-5)


def test_detection_loss_refuses() -> None:
    with pytest.raises(NetError, match=r"layer 'l': .*side, num_class and num_object must be positive"):
        detection_loss("side: 0")
    layer = detection_loss("side: 2 num_class: 3 num_object: 1")
    assert layer.out_shapes([(5, 8, 2, 2), (5, 28)]) == ((),)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must hold 32 numbers for each image"):
        layer.out_shapes([(5, 31), (5, 28)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must hold 28 numbers for each image"):
        layer.out_shapes([(5, 32), (4, 28)])

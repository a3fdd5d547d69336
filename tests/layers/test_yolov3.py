"""Yolov3: against its reference, and the fork's rules box by box, the gradient too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer

ANCHORS = [(5, 8), (14, 6), (12, 13), (25, 30), (40, 18)]


def yolo(text: str, mask: list[int]) -> Layer:
    biases = " ".join(f"biases: {w} biases: {h}" for w, h in ANCHORS)
    masks = " ".join(f"mask: {m}" for m in mask)
    return parse(f'type: "Yolov3" yolov3_param {{ num: {len(mask)} {biases} {masks} {text} }}')


def labels(seed: int, images: int, classes: int, number: int) -> np.ndarray:
    """(N, 1, 300, 5): up to ``number`` boxes for each image."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((images, 1, 300, 5))
    for image in rows[:, 0]:
        own = rng.integers(0, number + 1)
        image[:own, 0] = rng.integers(0, classes, own)
        image[:own, 1:3] = rng.uniform(0.05, 0.95, (own, 2))
        image[:own, 3:] = rng.uniform(0.1, 0.8, (own, 2))
    return rows.astype(np.float32)


def logistic(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def iou(a: list[float], b: list[float]) -> float:
    w, h = (
        min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
        for k in (0, 1)
    )
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h) if w >= 0 and h >= 0 else 0.0


def by_hand(x: np.ndarray, rows: np.ndarray, mask: list[int], step: int, **p: Any) -> np.ndarray:
    """The slopes (N, B, 5 + C, H, W), in the fork's order: what comes later overwrites what came before."""
    n_images, channels, height, width = x.shape
    x = np.asarray(x, np.float64).reshape(n_images, len(mask), channels // len(mask), height, width)
    slopes, classes = np.zeros_like(x), x.shape[2] - 5
    net = [width * step, height * step]
    for n, boxes in enumerate(np.asarray(rows, np.float64)[:, 0]):
        real = []
        for box in boxes:
            if not box[1]:
                break
            real.append([float(v) for v in box[1:]])
        for j, i, k in np.ndindex(height, width, len(mask)):
            v = x[n, k, :, j, i]
            predicted = [(i + logistic(v[0])) / width, (j + logistic(v[1])) / height]
            predicted += [np.exp(v[2 + o]) * ANCHORS[mask[k]][o] / net[o] for o in (0, 1)]
            best = max((iou(predicted, box) for box in real), default=0)
            slopes[n, k, 4, j, i] = 0 if best > p["thresh"] else logistic(v[4])
        for label, *box in boxes:
            if not box[2]:
                break
            best, chosen = 0.0, -1
            for b, anchor in enumerate(ANCHORS):
                value = iou([0, 0, anchor[0] / net[0], anchor[1] / net[1]], [0, 0, *box[2:]])
                if value > best:
                    best, chosen = value, b
            if chosen not in mask:
                continue
            k, i, j = mask.index(chosen), int(box[0] * width), int(box[1] * height)
            v, d = x[n, k, :, j, i], slopes[n, k, :, j, i]
            scale = p["coord"] * (2 - box[2] * box[3])
            d[0] = -scale * (box[0] * width - i - logistic(v[0]))
            d[1] = -scale * (box[1] * height - j - logistic(v[1]))
            for o in (0, 1):
                d[2 + o] = -scale * (np.log(box[2 + o] * net[o] / ANCHORS[chosen][o]) - v[2 + o])
            d[4] = -(1 - logistic(v[4])) * (p["object"] if p["logic"] else 1)
            shares, c = [logistic(w) for w in v[5:]], int(label)
            if d[5]:
                d[5 + c] = -(1 - shares[c])
                continue
            for m in range(classes):
                d[5 + m] = -p["class_"] * ((m == c) - shares[m])
                if p["focal"]:
                    pt = shares[c] + 1e-15
                    d[5 + m] *= 0.5 * -(1 - pt) * (2 * pt * np.log(pt) + pt - 1)
    return slopes


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(1, 3),
    st.sampled_from([[0], [2, 3], [3, 4, 1], [0, 1, 2, 3, 4]]),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1.5]),
    seeds,
)
def test_the_forks_rules(
    images: int,
    sizes: tuple[int, int],
    classes: int,
    mask: list[int],
    number: int,
    logic: bool,
    focal: bool,
    class_: float,
    seed: int,
) -> None:
    rows = labels(seed, images, classes, number)
    x = tie_free(np.random.default_rng(seed), (images, len(mask) * (5 + classes), *sizes), -2, 2)
    layer = yolo(
        f"num_class: {classes} anchors_scale: 8 thresh: 0.3 coord_scale: 3 object_scale: 2.5"
        f" class_scale: {class_} noobject_scale: 7 side: 99"
        f" use_logic_gradient: {str(logic).lower()} use_focal_loss: {str(focal).lower()}",
        mask,
    )
    dims = [(None, *x.shape[1:]), (None, 1, 300, 5)] if seed % 2 else None
    (loss,) = check_forward(layer, [x, rows], dims=dims)
    p = {"thresh": 0.3, "coord": 3, "object": 2.5, "class_": class_, "logic": logic, "focal": focal}
    slopes = by_hand(x, rows, mask, 8, **p)
    assert loss == pytest.approx((slopes**2).sum() / images, rel=1e-4, abs=1e-6)
    got = run_gradient(layer, [x, rows], (), [np.float32(3)])[0]
    if logic:
        p = 1 / (1 + np.exp(-x.astype(np.float64).reshape(slopes.shape)))
        p[:, :, 2:4] = 0
        slopes = slopes * np.where(p == 0, 1, p * (1 - p))
    np.testing.assert_allclose(got, 3 * slopes.reshape(x.shape) / images, atol=2e-5)


def test_several_right_boxes_of_one_box() -> None:
    """The last one's place, the first one's classes, and those of the others."""
    rows = np.zeros((1, 1, 300, 5), np.float32)
    rows[0, 0, :3] = [[1, 0.2, 0.3, 0.5, 0.6], [2, 0.3, 0.2, 0.55, 0.6], [1, 0.25, 0.35, 0.5, 0.65]]
    x = tie_free(np.random.default_rng(0), (1, 8, 1, 1))
    options = {"thresh": 0.2, "coord": 5, "object": 1, "class_": 1, "logic": False, "focal": False}
    layer = yolo("num_class: 3 anchors_scale: 48", [3])
    slopes = by_hand(x, rows, [3], 48, **options)
    got = run_gradient(layer, [x, rows], (), [np.float32(1)])[0]
    np.testing.assert_allclose(got, slopes.reshape(x.shape), atol=1e-5)
    p = 1 / (1 + np.exp(-x[0, 5:, 0, 0].astype(np.float64)))
    np.testing.assert_allclose(got[0, 5:, 0, 0], [p[0], p[1] - 1, p[2] - 1], atol=1e-6)


def test_boxes_out_of_the_image_teach_nothing() -> None:
    x = tie_free(np.random.default_rng(0), (1, 6, 2, 2))
    rows = np.zeros((1, 1, 300, 5), np.float32)
    rows[0, 0, 0] = [0, 1, 0.5, 0.2, 0.2]  # the centre at the right edge
    layer = yolo("num_class: 1 anchors_scale: 8 thresh: 0.99", [0])
    (loss,) = check_forward(layer, [x, rows])
    (none,) = check_forward(layer, [x, 0 * rows])
    assert loss == none


def test_yolov3_refuses() -> None:
    for text, mask, message in [
        ("num_class: 0", [0], "needs num_class, num, anchors_scale and 1 mask"),
        ("", [5], r"mask \[5\] needs more biases than 10, above 0"),
        ("biases: 0 biases: 3", [0], "above 0"),
    ]:
        with pytest.raises(NetError, match=f"layer 'l': yolov3_param: .*{message}"):
            yolo(text, mask)
    with pytest.raises(NetError, match="and 2 mask, got 1 mask"):
        parse('type: "Yolov3" yolov3_param { num: 2 biases: 1 biases: 2 mask: 0 }')
    layer = yolo("num_class: 4", [0, 1])
    assert layer.out_shapes([(3, 18, 2, 5), (3, 1500)]) == ((),)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(N, 18, H, W\)"):
        layer.out_shapes([(3, 19, 2, 2), (3, 1, 300, 5)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(3, 1, 300, 5\)"):
        layer.out_shapes([(3, 18, 2, 2), (3, 1, 30, 5)])
    labels = layer.allowed_labels([(3, 18, 2, 2), (3, 1, 300, 5)])
    assert labels is not None and labels.classes == 4 and labels.column == (5, 0)

"""RegionLoss: against its reference, and both forks' rules box by box, the gradient too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

ANCHORS = [(0.6, 0.8), (1.1, 2.1), (2.6, 1.3)]


def region(text: str, anchors: int = 3) -> Layer:
    biases = " ".join(f"biases: {w} biases: {h}" for w, h in ANCHORS[:anchors])
    return parse(f'type: "RegionLoss" region_loss_param {{ num: {anchors} {biases} {text} }}')


def labels(seed: int, images: int, classes: int, number: int) -> np.ndarray:
    """(N, 150): up to ``number`` boxes for each image."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((images, 30, 5))
    for image in rows:
        own = rng.integers(0, number + 1)
        image[:own, 0] = rng.integers(0, classes, own)
        image[:own, 1:3] = rng.uniform(0.05, 0.95, (own, 2))
        image[:own, 3:] = rng.uniform(0.1, 0.8, (own, 2))
    return rows.reshape(images, 150).astype(np.float32)


def annotated(rows: np.ndarray) -> np.ndarray:
    """The same as AnnotatedData has it; at least one row."""
    found = [
        [n, box[0] + 1, 0, *(box[1:3] - box[3:] / 2), *(box[1:3] + box[3:] / 2), 0]
        for n, image in enumerate(np.asarray(rows, np.float64).reshape(len(rows), 30, 5))
        for box in image
        if box[3]
    ]
    return np.array(found or [[-1.0] * 8])[None, None].astype(np.float32)


def logistic(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def iou(a: list[float], b: list[float]) -> float:
    w, h = (
        min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
        for k in (0, 1)
    )
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h) if w >= 0 and h >= 0 else 0.0


def by_hand(
    x: np.ndarray, rows: np.ndarray, classes: int, anchors: int, match: bool, bounded: bool, warm: float
) -> np.ndarray:
    """The slopes with the default scales and a threshold of 0.3, of the shape of x."""
    side = x.shape[2]
    x = np.asarray(x, np.float64).reshape(len(x), anchors, 5 + classes, side, side)
    slopes = np.zeros_like(x)

    def place(n: int, k: int, j: int, i: int, box: list[float], scale: float, bound: bool) -> None:
        wanted = [box[0] * side - i, box[1] * side - j]
        wanted += [np.log(box[2 + o] * side / ANCHORS[k][o]) for o in (0, 1)]
        for o in range(4):
            is_place = o < 2
            value = logistic(x[n, k, o, j, i]) if is_place else x[n, k, o, j, i]
            away = wanted[o] - value
            if bound:
                away = max(-1.0, min(1.0, away))
            slopes[n, k, o, j, i] = -scale * away * (value * (1 - value) if is_place else 1)

    for n, boxes in enumerate(rows.reshape(len(x), 30, 5)):
        real = [[float(v) for v in box] for box in boxes if box[3]]
        for j in range(side):
            for i in range(side):
                for k in range(anchors):
                    v = x[n, k, :, j, i]
                    predicted = [(i + logistic(v[0])) / side, (j + logistic(v[1])) / side]
                    predicted += [np.exp(v[2 + o]) * ANCHORS[k][o] / side for o in (0, 1)]
                    p = logistic(v[4])
                    if max([iou(predicted, box[1:]) for box in real], default=0) <= 0.3:
                        slopes[n, k, 4, j, i] = 0.5 * p * p * (1 - p)
                    if warm:
                        at = [(i + 0.5) / side, (j + 0.5) / side, *(ANCHORS[k][o] / side for o in (0, 1))]
                        place(n, k, j, i, at, warm, False)
        for box in real:
            i, j = int(box[1] * side), int(box[2] * side)
            best, chosen = 0.0, 0
            for k in range(anchors):
                sides = [ANCHORS[k][o] / side for o in (0, 1)]
                if not match:
                    sides = [s * np.exp(x[n, k, 2 + o, j, i]) for o, s in enumerate(sides)]
                value = iou([0, 0, *sides], [0, 0, *box[3:]])
                if value > best:
                    best, chosen = value, k
            place(n, chosen, j, i, box[1:], 5, bounded)
            p = logistic(x[n, chosen, 4, j, i])
            slopes[n, chosen, 4, j, i] = -(2 * (1 - p) ** 3 if bounded else 1 - p) * p * (1 - p)
            powers = np.exp(x[n, chosen, 5:, j, i])
            slopes[n, chosen, 5:, j, i] = powers / powers.sum() - (np.arange(classes) == int(box[0]))
    return slopes.reshape(len(x), -1, side, side)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 6),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_both_forks_rules(
    images: int,
    side: int,
    classes: int,
    anchors: int,
    number: int,
    match: bool,
    bounded: bool,
    warm: bool,
    seed: int,
) -> None:
    rows = labels(seed, images, classes, number)
    x = tie_free(np.random.default_rng(seed), (images, anchors * (5 + classes), side, side))
    layer = region(f"side: {side} num_class: {classes} thresh: 0.3 bias_match: {int(match)}", anchors)
    passes = 0 if warm else 12800 // images
    bottoms, states = [x, annotated(rows) if bounded else rows], [] if bounded else [np.array([passes])]
    dims = [(None, *x.shape[1:]), (1, 1, None, 8) if bounded else (None, 150)]
    (loss,) = check_forward(layer, bottoms, states=states, dims=dims if seed % 2 else None)
    slopes = by_hand(x, rows, classes, anchors, match, bounded, 0.01 if warm and not bounded else 0)
    assert loss == pytest.approx((slopes**2).sum(), rel=1e-4)
    got = run_gradient(layer, bottoms, (), [np.float32(3)], states=states)[0]
    np.testing.assert_allclose(got, 3 * slopes / images, atol=2e-5)


def test_passes_are_counted() -> None:
    layer = region("side: 1 num_class: 1")
    x = np.ones((2, 18, 1, 1), np.float32)
    shapes = [x.shape, (2, 150)]
    assert [d.initial.tolist() for d in layer.state_defs(shapes)] == [[0]]
    assert layer.state_defs([x.shape, (1, 1, 4, 8)]) == ()
    done = layer.reference([np.asarray(x, np.float64), np.zeros((2, 150))], (), [np.array([7])])
    assert done.next_states[0].tolist() == [8]


def test_boxes_out_of_the_image_teach_nothing() -> None:
    x = tie_free(np.random.default_rng(0), (1, 6 * 3, 2, 2))
    rows = np.zeros((1, 150), np.float32)
    rows[0, :5] = [0, 1, 0.5, 0.2, 0.2]  # the centre at the right edge
    layer = region("side: 2 num_class: 1 thresh: 0.99")
    late = [np.array([10**6])]
    (loss,) = check_forward(layer, [x, rows], states=late)
    (none,) = check_forward(layer, [x, 0 * rows], states=late)
    assert loss == none


def test_region_loss_refuses() -> None:
    for text, error, message in [
        ("mobilenet_yolo: true class_map: 'map'", UnsupportedError, "no softmax_tree and no class_map"),
        ("coords: 5", UnsupportedError, "coords 5"),
        ("side: 0", NetError, "needs side, num_class, num and 6 biases"),
    ]:
        with pytest.raises(error, match=f"layer 'l': region_loss_param: .*{message}"):
            region(text)
    with pytest.raises(NetError, match=r"layer 'l': nowhere\.tree: No such file"):
        region('softmax_tree: "nowhere.tree"')
    with pytest.raises(NetError, match="4 biases, got 2"):
        parse('type: "RegionLoss" region_loss_param { num: 2 biases: 1 biases: 2 }')
    layer = region("side: 2 num_class: 4")
    assert layer.out_shapes([(3, 27, 2, 2), (3, 30, 5)]) == ((),)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(N, 27, 2, 2\)"):
        layer.out_shapes([(3, 27, 3, 3), (3, 150)])
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(3, 150\) or \(1, 1, boxes, 8\)"):
        layer.out_shapes([(3, 27, 2, 2), (3, 149)])
    yolo = region("side: 2 num_class: 4 mobilenet_yolo: true")
    with pytest.raises(ShapeError, match=r"bottom\[1\] must be \(3, 150\) in MobileNet-YOLO"):
        yolo.out_shapes([(3, 27, 2, 2), (1, 1, 5, 8)])


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(0, 6), st.booleans(), st.booleans(), seeds)
def test_mobilenet_yolo(images: int, number: int, rescore: bool, warm: bool, seed: int) -> None:
    """As the others, but what a confidence should be, the scale of places, and the loss's divisor."""
    classes, side = 2, 3
    rows = labels(seed, images, classes, number)
    x = tie_free(np.random.default_rng(seed), (images, 21, side, side))
    layer = region(f"side: 3 num_class: 2 thresh: 0.3 mobilenet_yolo: true rescore: {int(rescore)}")
    states = [np.array([0 if warm else 10**6])]
    (loss,) = check_forward(layer, [x, rows], states=states)
    slopes = by_hand(x, rows, classes, 3, True, False, 0.01 if warm else 0).reshape(images, 3, 7, side, side)
    values = np.asarray(x, np.float64).reshape(slopes.shape)
    for n, image in enumerate(rows.reshape(images, 30, 5).astype(np.float64)):
        owned = {}
        for _, *box in image[image[:, 3] > 0]:
            fits = [iou([0, 0, w / side, h / side], [0, 0, *box[2:]]) for w, h in ANCHORS]
            owned[int(np.argmax(fits)), int(box[1] * side), int(box[0] * side)] = box
        for (k, j, i), box in owned.items():
            v, p = values[n, k, :, j, i], logistic(values[n, k, 4, j, i])
            predicted = [(i + logistic(v[0])) / side, (j + logistic(v[1])) / side]
            predicted += [np.exp(v[2 + o]) * ANCHORS[k][o] / side for o in (0, 1)]
            wanted = iou(predicted, box) if rescore else 1
            slopes[n, k, 4, j, i] = -(wanted - p) * p * (1 - p)
            slopes[n, k, :4, j, i] *= 1 if rescore else 2 - box[2] * box[3]
    assert loss == pytest.approx((slopes**2).sum() / images, rel=1e-4)
    got = run_gradient(layer, [x, rows], (), [np.float32(1)], states=states)[0]
    np.testing.assert_allclose(got, slopes.reshape(x.shape) / images, atol=2e-5)


TREE = [-1, -1, 0, 0, 0, 1, 1, 3, 3]
"""Two roots; 2, 3, 4 below 0; 5, 6 below 1; 7, 8 below 3."""


def taught(slopes: np.ndarray, shares: np.ndarray, label: int) -> None:
    """What the fork's delta_region_class writes for one box, with a scale of 2."""
    while label >= 0:
        for other, parent in enumerate(TREE):
            if parent == TREE[label]:
                slopes[other] = 2 * shares[other]
        slopes[label] = 2 * (shares[label] - 1)
        label = TREE[label]


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("with_map", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_tree_of_labels(bounded: bool, with_map: bool, seed: int, tmp_path: Path) -> None:
    """Box by box: the second image has a label and no box, with the fork's rule for it."""
    (tmp_path / "labels.tree").write_text("".join(f"n{i} {p}\n" for i, p in enumerate(TREE)))
    (tmp_path / "labels.map").write_text("8\n2\n5\n7\n0\n1\n3\n6\n4\n")
    order = [8, 2, 5, 7, 0, 1, 3, 6, 4] if with_map else list(range(9))
    rows = labels(seed, 3, 9, 8).reshape(3, 30, 5)
    rows[1, :2] = [[5, 0.4, 0.3, 0.2, 0.2], [8, 200_000, 200_000, 0.1, 0.1]]
    x = tie_free(np.random.default_rng(seed), (3, 42, 2, 2))
    text = f'softmax_tree: "{tmp_path}/labels.tree" class_scale: 2 thresh: 0.3 side: 2 num_class: 9'
    layer = region(text + (f' class_map: "{tmp_path}/labels.map"' if with_map else ""))
    y = annotated(rows.reshape(3, 150)) if bounded else rows.reshape(3, 150)
    if bounded:
        y[0, 0, :, 1] -= 1  # a tree's labels begin with 0
    bottoms, states = [x, y], [] if bounded else [np.array([10**6])]
    (loss,) = check_forward(layer, bottoms, states=states)
    known = rows * np.reshape([1, 0, 1], (3, 1, 1))
    slopes = by_hand(x, known, 9, 3, True, bounded, 0).reshape(3, 3, 14, 2, 2)
    values = np.asarray(x, np.float64).reshape(slopes.shape)
    shares = np.exp(values[:, :, 5:])
    for group in ([0, 1], [2, 3, 4], [5, 6], [7, 8]):
        shares[:, :, group] /= shares[:, :, group].sum(2, keepdims=True)
    slopes[:, :, 5:] = 0
    for n, image in enumerate(known.astype(np.float64)):
        for label, *box in image[image[:, 3] > 0]:
            fits = [iou([0, 0, w / 2, h / 2], [0, 0, *box[2:]]) for w, h in ANCHORS]
            if box[0] < 1:
                at = int(np.argmax(fits)), int(box[1] * 2), int(box[0] * 2)
                taught(
                    slopes[n, at[0], 5:, at[1], at[2]], shares[n, at[0], :, at[1], at[2]], order[int(label)]
                )
    sure = 1 / (1 + np.exp(-values[1, :, 4]))
    slopes[1] = 0
    slopes[1, :, 4] = 0.5 * sure**2 * (1 - sure)
    whole = sure * shares[1, :, 8] * shares[1, :, 3] * shares[1, :, 0]
    j, i, k = np.unravel_index(whole.transpose(1, 2, 0).argmax(), (2, 2, 3))
    taught(slopes[1, k, 5:, j, i], shares[1, k, :, j, i], 8)
    p = sure[k, j, i]
    slopes[1, k, 4, j, i] = -(0.3 - p) * p * (1 - p) if p < 0.3 else 0
    assert loss == pytest.approx((slopes**2).sum(), rel=1e-4)
    got = run_gradient(layer, bottoms, (), [np.float32(3)], states=states)[0]
    np.testing.assert_allclose(got, slopes.reshape(x.shape), atol=2e-5)

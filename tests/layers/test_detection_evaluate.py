"""DetectionEvaluate: against its reference, and SSD's rule detection by detection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from box_cases import overlap_of, truth
from harness import check_forward, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_cases import seeds

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer

SIZES = [(300, 200), (120, 500), (375, 500), (40, 30)]  # heights and widths


def evaluate(text: str) -> Layer:
    return parse(f'type: "DetectionEvaluate" bottom: "a" bottom: "b" detection_evaluate_param {{ {text} }}')


def detections(seed: int, images: int, classes: int, number: int, right: np.ndarray) -> np.ndarray:
    """Rows (1, 1, number, 7) in no order, many of them near a right box; some are none."""
    rng = np.random.default_rng(seed + 1)
    corners = rng.uniform(0, 0.7, (number, 2))
    boxes = np.hstack([corners, corners + rng.uniform(0.1, 0.5, (number, 2))])
    keys = np.column_stack([rng.integers(0, images, number), rng.integers(1, classes, number)])
    near = rng.random(number) < 0.7
    model = right[0, 0, rng.integers(0, right.shape[2], number)]
    boxes[near] = model[near, 3:7] + rng.uniform(-0.05, 0.05, (near.sum(), 4))
    keys[near] = model[near, :2]
    keys[rng.random(number) < 0.1, 1] = -1
    keys[rng.random(number) < 0.1] = -1
    rows = np.column_stack([keys, rng.permutation(number) / number, boxes])
    return rows[None, None].astype(np.float32)


def by_hand(found: np.ndarray, right: np.ndarray, easy: bool, pixels: int | None) -> list[list[float]]:
    """The rows of detections; ``pixels``: the place in SIZES of the first image, if they are used."""
    rows = []
    images = sorted({row[0] for row in found if row[0] >= 0})
    used: set[int] = set()
    for row in sorted((r for r in found if min(r[:2]) >= 0), key=lambda r: (r[0], r[1], -r[2])):
        best, nearest = -1.0, -1
        for index, box in enumerate(right):
            if box[0] == row[0] and box[1] == row[1]:
                if pixels is None:
                    value = overlap_of(row[3:], box[3:7])
                else:
                    height, width = SIZES[(pixels + images.index(row[0])) % len(SIZES)]
                    ends, last = np.array([width, height] * 2), np.array([0, 0, 1, 1])
                    first, second = (np.clip(corners, 0, 1) * ends + last for corners in (row[3:], box[3:7]))
                    value = overlap_of(first, second)
                if value > best:
                    best, nearest = value, index
        if best < 0.5:
            verdict = [0, 1]
        elif easy and right[nearest][7]:
            verdict = [0, 0]
        else:
            verdict = [0, 1] if nearest in used else [1, 0]
            used.add(nearest)
        rows.append([*row[:3], *verdict])
    return rows


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 4),
    classes=st.integers(2, 4),
    number=st.integers(1, 14),
    rows=st.integers(1, 6),
    easy=st.booleans(),
    pixels=st.sampled_from([None, 0, 3]),
    symbolic=st.booleans(),
    seed=seeds,
)
def test_ssds_rule(
    tmp_path_factory: pytest.TempPathFactory,
    images: int,
    classes: int,
    number: int,
    rows: int,
    easy: bool,
    pixels: int | None,
    symbolic: bool,
    seed: int,
) -> None:
    right = truth(seed, images, classes, rows, ended=rows > 3)
    found = detections(seed, images, classes, number, right)
    text = f"num_classes: {classes} evaluate_difficult_gt: {str(not easy).lower()}"
    states = []
    if pixels is not None:
        path = tmp_path_factory.mktemp("sizes") / "sizes.txt"
        path.write_text("".join(f"image{i} {h} {w}\n" for i, (h, w) in enumerate(SIZES)))
        text += f' name_size_file: "{path}"'
        states = [np.array([pixels])]
    dims = [(1, 1, None, 7), (1, 1, None, 8)] if symbolic else None
    (top,) = check_forward(evaluate(text), [found, right], states=states, dims=dims)
    boxes = right[0, 0, : rows - (rows > 3)]
    for label in range(1, classes):
        number = sum(box[1] == label and not (easy and box[7]) for box in boxes)
        assert top[0, 0, label - 1].tolist() == [-1, label, number, -1, -1]
    wanted = by_hand(found[0, 0], boxes, easy, pixels)
    np.testing.assert_array_equal(top[0, 0, classes - 1 :][: len(wanted)], np.float32(wanted).reshape(-1, 5))
    assert (top[0, 0, classes - 1 + len(wanted) :] == -1).all()


def test_sizes_go_on_where_the_last_call_ended(tmp_path: Path) -> None:
    """One for each image that has a row, even one that says there is no detection."""
    path = tmp_path / "sizes.txt"
    path.write_text("a 10 20\nb 30 40\nc 50 60\n")
    layer = evaluate(f'num_classes: 2 name_size_file: "{path}"')
    assert layer.sizes == ((20, 10), (40, 30), (60, 50))
    found = np.full((1, 1, 3, 7), -1, np.float32)
    found[0, 0, :, 0] = [0, 2, -1]
    rows = truth(0, 1, 2, 1)
    assert layer.state_defs([found.shape, rows.shape])[0].initial.tolist() == [0]
    for begin, end in ((0, 2), (1, 0), (2, 1)):
        next_states = layer.reference([found, rows], (), [np.array([begin])]).next_states
        assert [state.tolist() for state in next_states] == [[end]]
        check_forward(layer, [found, rows], states=[np.array([begin])])


def test_detection_evaluate_refuses(tmp_path: Path) -> None:
    (tmp_path / "sizes.txt").write_text("name 12\n")
    for text, error, message in [
        ("", NetError, "Must provide num_classes"),
        ("num_classes: 2 overlap_threshold: 0", NetError, "overlap_threshold must be non negative"),
        ("num_classes: 2 resize_param { resize_mode: FIT_SMALL_SIZE }", UnsupportedError, "only WARP"),
        ('num_classes: 2 name_size_file: "nowhere.txt"', NetError, "Failed to open name size file: nowhere"),
        (f'num_classes: 2 name_size_file: "{tmp_path}/sizes.txt"', NetError, "line 1: expected name, height"),
    ]:
        with pytest.raises(error, match=f"layer 'l': .*{message}"):
            evaluate(text)
    layer = evaluate("num_classes: 3")
    assert layer.out_shapes([(1, 1, 4, 7), (1, 1, 9, 8)]) == ((1, 1, 6, 5),)
    for shapes, message in [
        ([(1, 1, 4, 8), (1, 1, 9, 8)], r"bottom\[0\] must be detections"),
        ([(1, 1, 4, 7), (1, 1, 9, 7)], r"bottom\[1\] must be boxes"),
    ]:
        with pytest.raises(ShapeError, match=message):
            layer.out_shapes(shapes)

"""Overlaps and targets of boxes with their last pixels: as nodes, in NumPy, and pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_code import split_pairs
from vggrepro.layers.rules.pixel_boxes import box_overlap, box_targets, emit_box_overlap, emit_box_targets


def some_boxes(seed: int, number: int, whole: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 12, (number, 2))
    rows = np.concatenate([first, first + rng.uniform(0, 9, (number, 2))], axis=1)
    return (np.floor(rows) if whole else rows).astype(np.float32)


def pixels(box: np.ndarray) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (int(edge) for edge in box)
    return {(x, y) for x in range(x1, x2 + 1) for y in range(y1, y2 + 1)}


def test_overlap_counts_pixels() -> None:
    a, b = some_boxes(1, 8, whole=True), some_boxes(2, 9, whole=True)
    expected = [[len(pixels(p) & pixels(q)) / len(pixels(p) | pixels(q)) for q in b] for p in a]
    np.testing.assert_allclose(box_overlap(a[:, None].astype(float), b.astype(float)), expected, rtol=1e-14)


@pytest.mark.parametrize("least", [0, 1])
def test_overlap_as_nodes(least: float) -> None:
    a, b = some_boxes(3, 20), some_boxes(4, 30)
    g = GraphBuilder("cpu")
    first, second = (
        split_pairs(g, g.op("Unsqueeze", name, g.ints([axis]))) for name, axis in (("a", 1), ("b", 0))
    )
    (found,) = run_nodes(g, {"a": a, "b": b}, [emit_box_overlap(g, first, second, least)])
    expected = box_overlap(a[:, None].astype(float), b.astype(float), least)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)
    near = box_overlap(a[:, None].astype(float), b.astype(float)) > 0
    assert (near & (expected == 0)).any() == bool(least)  # some share less than a pixel


def test_targets_move_boxes_onto_the_right_ones() -> None:
    boxes, right = some_boxes(5, 12), some_boxes(6, 12)
    g = GraphBuilder("cpu")
    (found,) = run_nodes(g, {"a": boxes, "b": right}, [emit_box_targets(g, "a", "b")])
    coded = box_targets(boxes.astype(float), right.astype(float))
    np.testing.assert_allclose(found, coded, rtol=1e-5, atol=1e-5)
    for box, want, (dx, dy, dw, dh) in zip(boxes.astype(float), right, coded, strict=True):
        w, h = box[2] - box[0] + 1, box[3] - box[1] + 1
        centre = box[0] + w / 2 + dx * w, box[1] + h / 2 + dy * h
        side = w * np.exp(dw), h * np.exp(dh)
        corner = centre[0] - side[0] / 2, centre[1] - side[1] / 2
        np.testing.assert_allclose(
            [*corner, corner[0] + side[0] - 1, corner[1] + side[1] - 1], want, rtol=1e-6
        )

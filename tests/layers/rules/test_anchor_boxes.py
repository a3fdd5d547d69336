"""Boxes relative to anchors: the order of the boxes, and back."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.anchor_boxes import (
    AnchorGrid,
    as_table,
    emit_as_predictions,
    emit_boxes,
    emit_corners,
)

ANCHORS = np.array([[1.0, 2.0], [3.0, 0.5]])


def test_there_and_back() -> None:
    x = np.random.default_rng(0).normal(size=(2, 16, 3, 4)).astype(np.float32)
    g, value = GraphBuilder(), Value("x", (None, 16, 3, 4))
    boxes = emit_boxes(g, value, 2, 3)
    back = emit_as_predictions(g, "table", value, 2)
    table = as_table(x, 2)
    got = run_nodes(g, {"x": x, "table": table}, [boxes.stretch, boxes.scores, back])
    np.testing.assert_array_equal(got[0], table[:, :, 2:4])
    np.testing.assert_array_equal(got[1], table[:, :, 5:])
    np.testing.assert_array_equal(got[2], x)
    np.testing.assert_array_equal(table[1, (2 * 4 + 1) * 2 + 1], x[1, 8:, 2, 1])


def test_corners() -> None:
    x = np.zeros((1, 12, 3, 4), np.float32)
    g = GraphBuilder()
    grid = AnchorGrid.of((3, 4), ANCHORS)
    first, second = run_nodes(g, {"x": x}, emit_corners(g, emit_boxes(g, Value("x", x.shape), 2, 1), grid))
    place = (2 * 4 + 1) * 2 + 1
    np.testing.assert_allclose(first[0, place], [0.0, (2.5 - 0.25) / 3], atol=1e-6)
    np.testing.assert_allclose(second[0, place], [3 / 4, (2.5 + 0.25) / 3], atol=1e-6)

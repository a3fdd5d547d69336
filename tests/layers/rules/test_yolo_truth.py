"""Right boxes of YOLO nets: both forms, as tables and in NumPy."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.yolo_truth import emit_yolo_truth, is_annotated, yolo_truth


def tables(labels: np.ndarray, images: int) -> list[np.ndarray]:
    g = GraphBuilder()
    truth = emit_yolo_truth(g, Value("x", (images, 1)), Value("labels", labels.shape))
    x = np.zeros((images, 1), np.float32)
    outputs = run_nodes(
        g, {"labels": labels, "x": x} if is_annotated(labels.shape) else {"labels": labels}, list(truth)
    )
    return outputs


def test_thirty_rows() -> None:
    labels = np.zeros((2, 150), np.float32)
    labels[0, :15] = [3, 0.5, 0.4, 0.2, 0.1, 1, 0.3, 0.2, 0, 0.5, 2, 1.5, 0.5, 0.1, 0.1]
    labels[1, :5] = [2, 0, 0.5, 0.2, 0.2]  # an x of 0: nothing is compared with it, yet it is taught
    label, centre, side, seen, taught = tables(labels, 2)
    assert label[0, :3].tolist() == [3, 1, 2]
    np.testing.assert_array_equal(centre[0, 0], np.float32([0.5, 0.4]))
    np.testing.assert_array_equal(side[0, 0], np.float32([0.2, 0.1]))
    assert [np.flatnonzero(row).tolist() for row in seen] == [[0, 1, 2], []]
    assert [np.flatnonzero(row).tolist() for row in taught] == [[0], [0]]
    assert [rows.shape for rows in yolo_truth(labels, 2)] == [(30, 5)] * 2


def test_rows_of_annotated_data() -> None:
    labels = np.float32([[1, 4, 0, 0.1, 0.2, 0.3, 0.6, 0], [1, 2, 0, 0.8, 0.8, 1.4, 1.4, 0]])[None, None]
    label, centre, side, seen, taught = tables(labels, 2)
    assert label[1].tolist() == [3, 1]
    np.testing.assert_allclose(centre[1], [[0.2, 0.4], [1.1, 1.1]], rtol=1e-6)
    np.testing.assert_allclose(side[1], [[0.2, 0.4], [0.6, 0.6]], rtol=1e-6)
    assert (seen.tolist(), taught.tolist()) == ([[False] * 2, [True] * 2], [[False] * 2, [True, False]])
    none, both = yolo_truth(np.asarray(labels, np.float64), 2)
    assert none.shape == (0, 5)
    np.testing.assert_allclose(both, [[3, 0.2, 0.4, 0.2, 0.4], [1, 1.1, 1.1, 0.6, 0.6]], rtol=1e-6)

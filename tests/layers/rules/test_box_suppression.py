"""Which candidates stay, by hand; test_detection_output.py has the rest."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.box_suppression import emit_stays


def test_emit_stays() -> None:
    """The second box overlaps the first by a third; the last score is not above the threshold. In the second
    class the corners are the wrong way round, so that nothing overlaps."""
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], np.float32)
    feeds = {
        "boxes": np.stack([boxes, boxes[:, [2, 3, 0, 1]]])[np.newaxis],
        "scores": np.array([[[0.9, 0.8, 0.2], [0.9, 0.8, 0.3]]], np.float32),
    }
    for overlap, second in ((0.3, False), (0.4, True)):
        g = GraphBuilder()
        (stays,) = run_nodes(g, feeds, [emit_stays(g, "boxes", "scores", 3, 0.2, overlap)])
        assert stays.tolist() == [[[True, second, False], [True, True, True]]]

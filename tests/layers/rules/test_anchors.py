"""Anchors: py-faster-rcnn's nine, both ways to round, and the grid as nodes and in NumPy."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.anchors import cpp_anchors, grid, python_anchors, reference_grid

NINE = [
    [-84, -40, 99, 55],
    [-176, -88, 191, 103],
    [-360, -184, 375, 199],
    [-56, -56, 71, 71],
    [-120, -120, 135, 135],
    [-248, -248, 263, 263],
    [-36, -80, 51, 95],
    [-80, -168, 95, 183],
    [-168, -344, 183, 359],
]
"""As the Matlab program printed them (one less in each corner), with ratio and scale as in the paper."""


def test_python_anchors() -> None:
    assert np.array(python_anchors(16, (0.5, 1, 2), (8, 16, 32))).tolist() == NINE
    assert np.array(cpp_anchors(16, (0.5, 1, 2), (8, 16, 32))).tolist() == NINE


def test_rounding() -> None:
    """Sides of 2.5 (5 by 5, ratio 4): to even in Python, up in C++."""
    widths = [
        box[0][2] - box[0][0] + 1 for box in (python_anchors(5, (4,), (1,)), cpp_anchors(5, (4,), (1,)))
    ]
    assert widths == [2, 3]


def test_grid() -> None:
    anchors = python_anchors(16, (0.5, 1), (8,))
    g = GraphBuilder()
    found = run_nodes(g, {"x": np.zeros((1, 3, 2, 3), np.float32)}, [*grid(g, "x", anchors, 16)])
    for value, expected in zip(found, reference_grid((2, 3), anchors, 16), strict=True):
        np.testing.assert_allclose(value, expected)
    centres, sides = found
    assert centres.shape == sides.shape == (12, 2)
    assert (centres[2] - centres[0]).tolist() == [16, 0]  # one place to the right
    assert (centres[6] - centres[0]).tolist() == [0, 16]  # one row down
    assert sides[:2].tolist() == [[184, 96], [128, 128]]

"""The values of an image at points, and where their gradients go."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.image_points import emit_image_gradient, emit_point_gradient, emit_points

IMAGE = np.float32([[1, 2, 5], [4, 8, 16]]).reshape(1, 1, 2, 3)
X, Y = (np.float32(at).reshape(1, 1, 3, 1) for at in ([0.25, 1.5, 2], [0.5, 0, 1]))


def test_points_between_corners() -> None:
    g = GraphBuilder()
    seen, points = emit_points(g, Value(g.const(IMAGE), IMAGE.shape), g.const(X), g.const(Y))
    ones = g.const(np.ones((1, 1, 3, 1)))
    names = [seen, emit_image_gradient(g, points, ones), emit_point_gradient(g, points, ones)]
    value, d_image, d_points = run_nodes(g, {}, names)
    first = 0.5 * (0.75 * 1 + 0.25 * 2) + 0.5 * (0.75 * 4 + 0.25 * 8)
    np.testing.assert_allclose(value.ravel(), [first, 3.5, 16])
    np.testing.assert_allclose(d_image.sum(), 3)  # weights of each point add up to 1
    np.testing.assert_allclose(d_image[0, 0, 1], [0.375, 0.125, 1])
    np.testing.assert_allclose(d_points[0, :, 0, 0], [0.5 * (2 - 1) + 0.5 * (8 - 4), 0.75 * 3 + 0.25 * 6])

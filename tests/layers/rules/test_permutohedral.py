"""The lattice against dictionaries of vertices, point by point, and against the Gaussian that it stands
for."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.permutohedral import (
    ReferenceLattice,
    emit_filter,
    emit_lattice,
    gain,
    pixel_features,
)


def simplex(feature: np.ndarray) -> dict[tuple[int, ...], float]:
    """The vertices around a point, and their shares."""
    d = len(feature)
    scaled = [f * sqrt(2 / 3) * (d + 1) / sqrt((i + 1) * (i + 2)) for i, f in enumerate(feature)]
    y = [sum(scaled[j:]) - (j * scaled[j - 1] if j else 0) for j in range(d + 1)]
    near = [(d + 1) * round(v / (d + 1)) for v in y]
    order = sorted(range(d + 1), key=lambda i: (near[i] - y[i], i))
    rank = [order.index(i) + sum(near) // (d + 1) for i in range(d + 1)]
    for i, r in enumerate(rank):
        turn = (d + 1) * ((r < 0) - (r > d))
        rank[i], near[i] = r + turn, near[i] + turn
    weights = [0.0] * (d + 2)
    for i, r in enumerate(rank):
        weights[d - r] += (y[i] - near[i]) / (d + 1)
        weights[d - r + 1] -= (y[i] - near[i]) / (d + 1)
    weights[0] += 1 + weights[d + 1]
    corners = {}
    for k in range(d + 1):
        vertex = tuple(near[i] + k - (d + 1) * (rank[i] > d - k) for i in range(d + 1))
        assert sum(vertex) == 0
        corners[vertex] = weights[k]
    assert min(weights[:-1]) > -1e-9
    return corners


def filtered(features: np.ndarray, values: np.ndarray, axes: list[int]) -> np.ndarray:
    d = features.shape[1]
    corners = [simplex(feature) for feature in features]
    held = {vertex: np.zeros(values.shape[1]) for point in corners for vertex in point}
    for point, value in zip(corners, values, strict=True):
        for vertex, share in point.items():
            held[vertex] += share * value
    for axis in axes:
        step = np.full(d + 1, -1)
        step[axis] = d
        new = {}
        for vertex, value in held.items():
            around = (tuple((np.array(vertex) + sign * step).tolist()) for sign in (1, -1))
            new[vertex] = value + 0.5 * sum(held.get(v, 0 * value) for v in around)
        held = new
    return np.array([sum(s * held[v] for v, s in point.items()) for point in corners]) * gain(d)


@pytest.mark.parametrize(("d", "spread"), [(1, 3.0), (2, 2.0), (3, 1.0), (5, 0.7), (5, 40.0)])
def test_by_dictionaries(d: int, spread: float) -> None:
    rng = np.random.default_rng(d)
    features = rng.normal(size=(60, d)) * spread
    values = rng.normal(size=(60, 3))
    g = GraphBuilder()
    lattice = emit_lattice(g, Value("features", features.shape))
    outputs = [emit_filter(g, lattice, "values", transposed=t) for t in (False, True)]
    feeds = {"features": features, "values": values.astype(np.float32)}
    there, back = run_nodes(g, feeds, outputs)
    axes = list(range(d + 1))
    np.testing.assert_allclose(there, filtered(features, values, axes), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back, filtered(features, values, axes[::-1]), rtol=1e-4, atol=1e-5)
    reference = ReferenceLattice(features).filter(values)
    np.testing.assert_allclose(reference, filtered(features, values, axes), rtol=1e-9, atol=1e-12)


def test_pixels_whose_coordinates_tie() -> None:
    features = pixel_features(7, 6, 3.0)
    values = np.random.default_rng(0).normal(size=(42, 2))
    g = GraphBuilder()
    lattice = emit_lattice(g, Value("features", features.shape))
    feeds = {"features": features, "values": values.astype(np.float32)}
    (found,) = run_nodes(g, feeds, [emit_filter(g, lattice, "values")])
    np.testing.assert_allclose(found, filtered(features, values, [0, 1, 2]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        ReferenceLattice(features).filter(values), filtered(features, values, [0, 1, 2]), atol=1e-12
    )


def test_it_is_nearly_a_gaussian() -> None:
    """Over dense points of a line, of deviation 1: the ratio to the exact sums is nearly constant."""
    x = np.linspace(-4, 4, 400)[:, None]
    values = np.cos(2 * x)
    kernel = np.exp(-((x - x.T) ** 2) / 2)
    found = ReferenceLattice(x).filter(values) / ReferenceLattice(x).filter(np.ones_like(x))
    np.testing.assert_allclose(found, kernel @ values / kernel.sum(1, keepdims=True), atol=0.06)

"""Where ROIPooling found its maxima: against a walk over all cells with the layer's own bounds."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError
from vggrepro.layers.roi_pooling import ROIPooling
from vggrepro.layers.rules.region_maxima import emit_maxima_gradient


def test_gradient_goes_to_the_first_maximum() -> None:
    rng = np.random.default_rng(0)
    features = rng.integers(0, 4, (2, 3, 7, 9)).astype(np.float32)  # with many ties
    corners = rng.integers(-6, 40, (6, 4)) + rng.choice([0, 0.5], (6, 4))
    rows = np.column_stack([rng.integers(0, 2, 6), corners]).astype(np.float32)
    layer = ROIPooling((3, 2), 0.25)
    top = layer.reference([features.astype(float), rows], (), ()).tops[0].astype(np.float32)
    dy = rng.normal(0, 1, top.shape).astype(np.float32)
    expected = np.zeros(features.shape)
    for index, region in enumerate(rows):
        down, across = layer.cells(region, 7, 9)
        for c, i, j in np.ndindex(3, 3, 2):
            places = [(h, w) for h in range(*down[i]) for w in range(*across[j])]
            if places:
                best = max(places, key=lambda p: (features[(int(region[0]), c, *p)], -places.index(p)))
                expected[(int(region[0]), c, *best)] += dy[index, c, i, j]
    g = GraphBuilder("cpu")
    name = emit_maxima_gradient(g, Value("x", features.shape), "r", ("t", "d"), (3, 2), 0.25)
    (found,) = run_nodes(g, {"x": features, "r": rows, "t": top, "d": dy}, [name])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_sizes_must_be_fixed() -> None:
    with pytest.raises(FixedShapeError):
        emit_maxima_gradient(GraphBuilder(), Value("x", (1, 2, None, 4)), "r", ("t", "d"), (1, 1), 1)

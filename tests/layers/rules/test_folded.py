"""Folding is the transpose of unfolding."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes
from shape_cases import values

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.folded import emit_folded
from vggrepro.layers.rules.unfold import unfold
from vggrepro.layers.rules.window import Windows


def test_products_with_what_is_seen_and_what_is_folded_agree() -> None:
    windows = Windows((2, 3), (2, 1), (1, 0), (1, 2))
    shape, top = (2, 3, 5, 6), (2, 3, 3, 2)
    g, x, columns = GraphBuilder(), values(0, shape), values(1, (2, 18, 3, 2))
    names = [unfold(g, g.const(x), shape, windows), emit_folded(g, g.const(columns), shape, top, windows)]
    seen, folded = run_nodes(g, {}, names)
    assert seen.shape == (2, 3, 6, 3, 2) and folded.shape == shape
    np.testing.assert_allclose((seen.reshape(columns.shape) * columns).sum(), (x * folded).sum(), rtol=1e-4)

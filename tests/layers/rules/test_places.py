"""Values put to places of larger planes, and taken back."""

from __future__ import annotations

import numpy as np
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.places import emit_put, emit_taken, put


def test_put_and_taken() -> None:
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 2, 2, 2)
    places = np.array([[[0, 5, 3, 2], [1, 4, 0, 2]]])
    g = GraphBuilder()
    value = Value("x", x.shape)
    planes = emit_put(g, value, "places", g.ints([2, 3]))
    back = emit_taken(g, planes, value, "places")
    found, taken = run_nodes(g, {"x": x, "places": places}, [planes, back])
    assert found.tolist() == [[[[1, 0, 4], [3, 0, 2]], [[7, 5, 8], [0, 6, 0]]]]
    assert (taken == x).all()
    assert (put(x, places.reshape(x.shape), (1, 2, 2, 3)) == found).all()
    same = put(x, np.array([[0, 1], [2, 3]]), (1, 2, 2, 3))  # the same places in each plane
    assert same[0, 1].tolist() == [[5, 6, 7], [8, 0, 0]]

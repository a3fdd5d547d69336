"""Regions of interest: sizes of their grids, and their rows in a graph."""

from types import SimpleNamespace

import numpy as np
import pytest

from vggrepro.emit import GraphBuilder, Value, tensor_info
from vggrepro.errors import NetError
from vggrepro.graph.assembly import assemble_plain
from vggrepro.layers.rules.regions import pooled_size, region_rows, rounded
from vggrepro.runtime.session import Session


def test_a_grid_has_a_cell_at_least():
    assert pooled_size(SimpleNamespace(pooled_h=2, pooled_w=3)) == (2, 3)
    for sizes in ((0, 3), (2, 0)):
        with pytest.raises(NetError, match="pooled_h must be > 0, pooled_w must be > 0"):
            pooled_size(SimpleNamespace(pooled_h=sizes[0], pooled_w=sizes[1]))


def test_rows_are_taken_as_they_are_or_shaped():
    g = GraphBuilder()
    assert region_rows(g, Value("rois", (7, 5))) == "rois" and g.nodes == []
    assert region_rows(g, Value("rois", (7, 5, 1, 1))) == g.nodes[-1].output[0]
    assert [node.op_type for node in g.nodes] == ["Reshape"]


def test_halves_are_rounded_away_from_zero():
    """Also where adding a half in float32 would round up to the next whole number."""
    g = GraphBuilder()
    below = np.nextafter(np.float32(0.5), np.float32(0))
    x = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 2.25, -0.75, 0, below, 8388609], np.float32)
    rounds = rounded(g, "x")
    declared = [tensor_info("x", x.shape, np.float32)], [tensor_info("y", x.shape, np.float32)]
    found = Session(assemble_plain("rounded", g, *declared, {"y": rounds})).run({"x": x})["y"]
    assert found.tolist() == [1, -1, 2, 3, -3, 2, -1, 0, 0, 8388609]

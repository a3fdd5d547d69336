"""Regions of interest: sizes of their grids, and their rows in a graph."""

from types import SimpleNamespace

import pytest

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError
from vggrepro.layers.rules.regions import pooled_size, region_rows


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

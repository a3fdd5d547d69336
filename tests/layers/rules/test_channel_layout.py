"""Blobs with channels at any axis, brought to (N, C, spatial...) and back."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import NetError
from vggrepro.layers.rules.channel_layout import ChannelLayout


@pytest.mark.parametrize(
    ("axis", "shape", "standard"),
    [
        (1, (2, 3, 4, 5), (2, 3, 4, 5)),
        (2, (2, 3, 4, 5), (6, 4, 5)),
        (-1, (2, 3, 4), (6, 4, 1)),
        (0, (3, 4), (1, 3, 4)),
    ],
)
@pytest.mark.parametrize("free", [False, True])
def test_there_and_back(axis: int, shape: tuple[int, ...], standard: tuple[int, ...], free: bool) -> None:
    layout = ChannelLayout.of(axis, len(shape), "x")
    assert layout.standard_dims(shape) == standard
    dims = tuple(None if free and i != axis % len(shape) else size for i, size in enumerate(shape))
    g = GraphBuilder()
    x = Value("x", dims)
    inside = layout.to_standard(g, x)
    back = layout.from_standard(g, inside, x)
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    values = run_nodes(g, {"x": array}, [inside.name, back])
    assert values[0].shape == standard
    np.testing.assert_array_equal(values[1], array)


def test_the_standard_layout_costs_no_node() -> None:
    g, layout = GraphBuilder(), ChannelLayout.of(1, 4, "x")
    x = Value("x", (None, 3, None, None))
    assert layout.is_standard and layout.spatial == 2
    assert layout.to_standard(g, x) is x and layout.from_standard(g, x, x) == "x"
    assert layout.to_standard_fixed(g, "x", (2, 3, 4, 5)) == layout.from_standard_fixed(g, "x", (2,)) == "x"
    assert not g.nodes


def test_an_axis_out_of_range_is_refused() -> None:
    with pytest.raises(NetError, match="Convolution: axis 4 out of range for 4-D Blob"):
        ChannelLayout.of(4, 4, "Convolution")

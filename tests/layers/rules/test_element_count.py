"""The number of elements, as the data have it."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.layers.rules.element_count import (
    Size,
    at_most,
    axis_places,
    axis_size,
    element_count,
    sizes,
    times,
)


@pytest.mark.parametrize("dims", [(4, 3, 5), (None, 3, 5), (None, None, None), (4, 3, None)])
@pytest.mark.parametrize("images", [4, 2])
def test_a_batch_may_be_smaller_than_declared(dims: Dims, images: int) -> None:
    g = GraphBuilder()
    x = np.zeros((images, 3, 5), np.float32)
    (count,) = run_nodes(g, {"x": x}, [element_count(g, Value("x", dims))])
    assert count == x.size and count.shape == ()


@pytest.mark.parametrize("shape", [(), (7,)])
def test_few_axes(shape: tuple[int, ...]) -> None:
    g = GraphBuilder()
    (count,) = run_nodes(g, {"x": np.zeros(shape, np.float32)}, [element_count(g, Value("x", shape))])
    assert count == np.prod(shape)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_axis(axis: int) -> None:
    g = GraphBuilder()
    size, places = run_nodes(
        g, {"x": np.zeros((2, 3), np.float32)}, [axis_size(g, "x", axis), axis_places(g, "x", axis)]
    )
    assert size == axis + 2 and size.shape == () and size.dtype == np.int64
    np.testing.assert_array_equal(places, np.arange(axis + 2))
    assert places.dtype == np.int64


@pytest.mark.parametrize("free", [False, True])
def test_sizes_that_are_known_or_not(free: bool) -> None:
    g = GraphBuilder()
    five: Size = g.op("Shape", "x", start=0, end=1) if free else 5
    asked = sizes(g, -1, times(g, five, 3), at_most(g, five, 4), at_most(g, five, 6), at_most(g, five, None))
    assert bool(g.nodes) == free
    found, alone = run_nodes(g, {"x": np.zeros((5, 1), np.float32)}, [asked, sizes(g, five)])
    assert found.tolist() == [-1, 15, 4, 5, 5] and alone.tolist() == [5]
    assert found.dtype == alone.dtype == np.int64

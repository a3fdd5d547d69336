"""The number of elements, as the data have it."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import Dims, GraphBuilder, Value
from vggrepro.layers.rules.element_count import element_count


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

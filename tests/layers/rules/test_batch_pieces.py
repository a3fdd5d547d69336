"""A batch in pieces is the whole batch."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules.batch_pieces import split_images, sum_of


@pytest.mark.parametrize(("images", "most"), [(7, 3), (6, 3), (5, 1), (4, 9)])
def test_pieces_are_alike_and_within_the_limit(images: int, most: int) -> None:
    g = GraphBuilder()
    x, y = np.random.default_rng(0).standard_normal((2, images, 3)).astype(np.float32)
    pieces = split_images(g, ["x", "y"], images, most)
    assert sum(number for number, _ in pieces) == images
    assert all(number <= most for number, _ in pieces)
    names = [name for _, tensors in pieces for name in tensors]
    values = run_nodes(g, {"x": x, "y": y}, names)
    np.testing.assert_array_equal(np.concatenate(values[::2]), x)
    np.testing.assert_array_equal(np.concatenate(values[1::2]), y)
    assert [len(value) for value in values[::2]] == [number for number, _ in pieces]


def test_a_sum_of_one_term_costs_no_node() -> None:
    g = GraphBuilder()
    assert sum_of(g, ["x"]) == "x" and not g.nodes
    (total,) = run_nodes(g, {"a": np.float32([1, 2]), "b": np.float32([3, 4])}, [sum_of(g, ["a", "b"])])
    assert total.tolist() == [4, 6]

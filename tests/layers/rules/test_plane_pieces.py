"""Channels of all images taken a few at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import Dims, GraphBuilder, RuleSet, Value
from vggrepro.layers.rules import plane_pieces
from vggrepro.layers.rules.plane_pieces import of_planes


def shifted(g: GraphBuilder, tensors: Sequence[Value]) -> str:
    """Each plane of x plus twice its element of y (N, C, 1, 1)."""
    x, y = tensors
    return g.op("Add", x.name, g.op("Mul", y.name, g.const(2)))


@pytest.mark.parametrize(("piece", "runs"), [(1, 12), (4 * 5, 12), (3 * 4 * 5, 4), (1000, 1)])
def test_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch, piece: int, runs: int) -> None:
    monkeypatch.setattr(plane_pieces, "PIECE", piece)
    monkeypatch.setattr(plane_pieces, "LEAST", 1)
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((2, 6, *sizes), np.float32) for sizes in ((4, 5), (1, 1)))
    g = GraphBuilder("cpu")
    for name in "xy":
        g.reserve(name)
    result = of_planes(g, [Value("x", x.shape), Value("y", y.shape)], shifted)
    (got,) = run_nodes(g, {"x": x, "y": y}, [result])
    np.testing.assert_array_equal(got, x + 2 * y)
    (scan,) = (node for node in g.nodes if node.op_type == "Scan")
    (body,) = (a.g for a in scan.attribute if a.name == "body")
    assert 12 // body.input[0].type.tensor_type.shape.dim[0].dim_value == runs


@pytest.mark.parametrize(
    ("rules", "dims", "expected"),
    [
        ("cpu", (8, 64, 64, 64), True),
        ("cpu", (8, 64, 64, 63), False),
        ("cpu", (None, 64, 64, 64), False),
        ("cuda", (8, 64, 64, 64), False),
        (None, (8, 64, 64, 64), False),
    ],
)
def test_where_it_pays(rules: RuleSet | None, dims: Dims, expected: bool) -> None:
    g = GraphBuilder(rules)
    of_planes(g, [Value("x", dims), Value("y", (*dims[:2], 1, 1))], shifted)
    assert [node.op_type for node in g.nodes].count("Scan") == expected

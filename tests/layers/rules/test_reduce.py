"""Sums and means over several axes."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, RuleSet
from vggrepro.layers.rules.reduce import reduced


@pytest.mark.parametrize("rules", [None, "cuda"])
@pytest.mark.parametrize("axes", [[0], [0, 2, 3], [1, 3], [0, 1, 3, 4], [2, 3, 4]])
@pytest.mark.parametrize(("op_type", "function"), [("ReduceSum", np.sum), ("ReduceMean", np.mean)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_over_any_axes(
    rules: RuleSet | None, axes: list[int], op_type: str, function: np.ufunc, keepdims: int
) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5, 6), np.float32)
    g = GraphBuilder(rules)
    (got,) = run_nodes(g, {"x": x}, [reduced(g, op_type, "x", 5, axes, keepdims=keepdims)])
    expected = function(x.astype(np.float64), axis=tuple(axes), keepdims=bool(keepdims))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert got.shape == expected.shape


def test_on_cuda_the_last_axes_are_summed_by_a_product_and_means_taken_in_steps() -> None:
    """Where cuDNN would reduce all axes at once, slowly."""
    operators = {}
    for op_type in ("ReduceSum", "ReduceMean"):
        g = GraphBuilder("cuda")
        reduced(g, op_type, "x", 4, [0, 2, 3], keepdims=0)
        operators[op_type] = [node.op_type for node in g.nodes]
        assert g.constants[g.nodes[-1].input[1]].tolist() == [0]
    assert operators["ReduceSum"] == ["Reshape", "Shape", "Expand", "MatMul", "ReduceSum"]
    assert operators["ReduceMean"] == ["ReduceMean"] * 2

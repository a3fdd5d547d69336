"""The weights of peepholes: nodes against NumPy, gradients by hand, and shapes."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes
from shape_cases import values

from vggrepro.emit import GraphBuilder
from vggrepro.errors import ShapeError
from vggrepro.layers.rules.peepholes import Peepholes

CELLS = (1, 2, 3, 4, 5)
NAMES = ["wi", "wf", "wo"]


@pytest.mark.parametrize(
    ("axis", "number", "shape", "over"),
    [
        (3, 2, (4, 5), (1, 1, 4, 5)),
        (2, 1, (3,), (1, 3, 1, 1)),
        (0, 2, (1, 2), (2, 1, 1, 1)),
        (2, 0, (), (1, 1, 1, 1)),
    ],
)
def test_forward_and_backward(axis: int, number: int, shape: tuple[int, ...], over: tuple[int, ...]) -> None:
    holes, g = Peepholes(axis, number), GraphBuilder()
    definitions = holes.param_defs(CELLS)
    assert [(d.shape, d.filler.type, d.filler.value) for d in definitions] == [(shape, "constant", 1)] * 3
    feeds = {n: values(i, shape) for i, n in enumerate(NAMES)}
    c, d_gates = values(3, CELLS[1:]), values(4, (2, 12, 4, 5))
    weights = holes.weights(g, NAMES, CELLS)
    sums = holes.add(g, "gates", "c", weights)
    products, ways = holes.backward(g, "d_gates", "c", weights)
    found = [sums, *ways, *holes.gradients(g, [products, products], CELLS)]
    gates = values(5, d_gates.shape)
    total, *others = run_nodes(g, {**feeds, "c": c, "gates": gates, "d_gates": d_gates}, found)
    wide = [feeds[n].reshape(over) for n in NAMES]
    seen = np.concatenate([*(c * w for w in wide), 0 * c], 1)
    np.testing.assert_allclose(total, gates + seen, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(holes.reference(c, [feeds[n] for n in NAMES]), seen, rtol=1e-6)
    axes = tuple(i for i, size in enumerate(over) if size == 1)
    for k, w in enumerate(wide):
        d = d_gates[:, 3 * k : 3 * k + 3]
        np.testing.assert_allclose(others[k], d * w, rtol=1e-5, atol=1e-6)
        slope = 2 * (d * c).sum(axes).reshape(shape)
        np.testing.assert_allclose(others[3 + k], slope, rtol=1e-4, atol=1e-5)


def test_axes_beyond_the_cells_are_refused() -> None:
    with pytest.raises(ShapeError, match="axis_hadamard 4 and num_axes_hadamard 2 go beyond the axes of 1 2"):
        Peepholes(4, 2).shape(CELLS)
